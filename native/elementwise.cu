// Plain helpers over flat buffers of n elements. Reference: the name. Floors: add 6 bytes an element, casts 6.

template <bool VEC, class Body>
DEVICE void groups(i64 n, Body body) {
    const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= n) {
        return;
    }
    if constexpr (VEC) {
        if (i + 8 <= n) {
            body.template run<true>(i, n);
            return;
        }
    }
    body.template run<false>(i, n);
}

struct Add {
    const u16* x;
    const u16* y;
    u16* out;
    template <bool VEC>
    DEVICE_MEMBER void run(i64 i, i64 n) const {
        const uint4 p = load8<VEC>(x, i, n), q = load8<VEC>(y, i, n);
        float a[8], b[8];
        unpack8(p, a);
        unpack8(q, b);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            a[k] += b[k];
        }
        store8<VEC>(out, i, n, pack8(a));
    }
};

struct ToFloat {
    const u16* x;
    float* out;
    template <bool VEC>
    DEVICE_MEMBER void run(i64 i, i64 n) const {
        float a[8];
        unpack8(load8<VEC>(x, i, n), a);
        storeFloat8<VEC>(out, i, n, a);
    }
};

struct ToBf16 {
    const float* x;
    u16* out;
    template <bool VEC>
    DEVICE_MEMBER void run(i64 i, i64 n) const {
        float a[8];
        loadFloat8<VEC>(x, i, n, a);
        store8<VEC>(out, i, n, pack8(a));
    }
};

extern "C" __global__ void add_bf16(const u16* x, const u16* y, u16* out, i64 n) { groups<true>(n, Add{x, y, out}); }
extern "C" __global__ void add_bf16_any(const u16* x, const u16* y, u16* out, i64 n) {
    groups<false>(n, Add{x, y, out});
}
extern "C" __global__ void bf16_to_float(const u16* x, float* out, i64 n) { groups<true>(n, ToFloat{x, out}); }
extern "C" __global__ void bf16_to_float_any(const u16* x, float* out, i64 n) { groups<false>(n, ToFloat{x, out}); }
extern "C" __global__ void float_to_bf16(const float* x, u16* out, i64 n) { groups<true>(n, ToBf16{x, out}); }
extern "C" __global__ void float_to_bf16_any(const float* x, u16* out, i64 n) { groups<false>(n, ToBf16{x, out}); }
