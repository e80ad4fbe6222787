// Put before every source of this folder when it is compiled: nothing is included, so that NVRTC needs no headers.
//
// Legend: T tokens (rows), C hidden size, H query heads, K kv heads, D head size, F ffn size, V vocabulary.
// bf16 is its 16-bit pattern (u16). Eight of them are one 16-byte access (uint4), called a group. Kernels whose last
// axis is no multiple of 8, or whose buffers are not 16-byte aligned, run their VEC = false form: right, and slower.

typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define DEVICE_MEMBER __device__ __forceinline__
#define DEVICE static DEVICE_MEMBER

DEVICE float lowOf(u32 pair) { return __uint_as_float(pair << 16); }
DEVICE float highOf(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
DEVICE float bf16ToFloat(u16 bits) { return __uint_as_float((u32)bits << 16); }

// Two floats rounded to nearest even; NaN stays NaN.
DEVICE u32 pack2(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

DEVICE u16 floatToBf16(float x) { return (u16)pack2(x, 0.0f); }

// A float rounded to bf16 and back: where transformers rounds an intermediate.
DEVICE float rounded(float x) { return lowOf(pack2(x, 0.0f)); }

DEVICE void unpack8(uint4 group, float (&x)[8]) {
    x[0] = lowOf(group.x); x[1] = highOf(group.x); x[2] = lowOf(group.y); x[3] = highOf(group.y);
    x[4] = lowOf(group.z); x[5] = highOf(group.z); x[6] = lowOf(group.w); x[7] = highOf(group.w);
}

DEVICE uint4 pack8(const float (&x)[8]) {
    return make_uint4(pack2(x[0], x[1]), pack2(x[2], x[3]), pack2(x[4], x[5]), pack2(x[6], x[7]));
}

DEVICE uint4 zero4() { return make_uint4(0, 0, 0, 0); }

// Elements i..i+7 of a row of n; zeros past its end. VEC: row is 16-byte aligned and n a multiple of 8.
template <bool VEC>
DEVICE uint4 load8(const u16* row, i64 i, i64 n) {
    if constexpr (VEC) {
        return i < n ? *reinterpret_cast<const uint4*>(row + i) : zero4();
    } else {
        u32 w[4] = {0, 0, 0, 0};
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (i + k < n) {
                w[k >> 1] |= (u32)row[i + k] << (16 * (k & 1));
            }
        }
        return make_uint4(w[0], w[1], w[2], w[3]);
    }
}

template <bool VEC>
DEVICE void store8(u16* row, i64 i, i64 n, uint4 group) {
    if constexpr (VEC) {
        if (i < n) {
            *reinterpret_cast<uint4*>(row + i) = group;
        }
    } else {
        const u32 w[4] = {group.x, group.y, group.z, group.w};
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (i + k < n) {
                row[i + k] = (u16)(w[k >> 1] >> (16 * (k & 1)));
            }
        }
    }
}

// The same of fp32 rows: two 16-byte accesses.
template <bool VEC>
DEVICE void loadFloat8(const float* row, i64 i, i64 n, float (&x)[8]) {
    if constexpr (VEC) {
        if (i < n) {
            const float4 a = *reinterpret_cast<const float4*>(row + i);
            const float4 b = *reinterpret_cast<const float4*>(row + i + 4);
            x[0] = a.x; x[1] = a.y; x[2] = a.z; x[3] = a.w; x[4] = b.x; x[5] = b.y; x[6] = b.z; x[7] = b.w;
        } else {
#pragma unroll
            for (int k = 0; k < 8; k++) {
                x[k] = 0.0f;
            }
        }
    } else {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            x[k] = i + k < n ? row[i + k] : 0.0f;
        }
    }
}

template <bool VEC>
DEVICE void storeFloat8(float* row, i64 i, i64 n, const float (&x)[8]) {
    if constexpr (VEC) {
        if (i < n) {
            *reinterpret_cast<float4*>(row + i) = make_float4(x[0], x[1], x[2], x[3]);
            *reinterpret_cast<float4*>(row + i + 4) = make_float4(x[4], x[5], x[6], x[7]);
        }
    } else {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (i + k < n) {
                row[i + k] = x[k];
            }
        }
    }
}

DEVICE float warpSum(float x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        x += __shfl_xor_sync(0xffffffffu, x, lane);
    }
    return x;
}

DEVICE float warpMax(float x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
    }
    return x;
}

// Sum over a block, given to every thread, in one barrier: the warps' sums are added in the order of the warps.
// `slots` is this call's own: a loop alternates two.
DEVICE float blockSum(float x, float* slots) {
    x = warpSum(x);
    if ((threadIdx.x & 31) == 0) {
        slots[threadIdx.x >> 5] = x;
    }
    __syncthreads();
    float total = 0.0f;
    for (int w = 0; w < (int)(blockDim.x + 31) >> 5; w++) {
        total += slots[w];
    }
    return total;
}
