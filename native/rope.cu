// Rotary position embedding (arXiv 2104.09864), Hugging Face's half-split layout, over q and k heads.
//
// Reference, a head x of D values at position p, j in [0, D/2), s = +1 forward and -1 backward (the inverse):
//   x[j]       = x[j] cos[p][j] - s x[j + D/2] sin[p][j]
//   x[j + D/2] = x[j + D/2] cos[p][j] + s x[j] sin[p][j]
// in fp32 with one rounding (transformers rounds cos, sin and each product to bf16). With a bias, x = bf16(x + bias)
// first. The value heads are copied, or left alone where they already lie in place and there is no bias.
//
// q, k, v are read with a token stride each and heads side by side; out is (T, H + 2K, D). In place: they are views of
// out. From attention's separate gradients: they are dq (T, H, D), dk, dv (T, K, D), and the copy into the fused
// gradient costs nothing beyond the rotation.
//
// Floor: 4 bytes an element of q and k (and of v where it moves). The tables (maxPos, D/2) fp32 stay in L2; a thread
// keeps its eight cosines for all its heads, else they would be twice the bytes of the heads through L1.

template <bool VEC>
DEVICE void rotate(const u16* q, const u16* k, const u16* v, i64 qStride, i64 kStride, i64 vStride,
                   const u16* __restrict__ bias, u16* out, const float* __restrict__ cosines,
                   const float* __restrict__ sines, const int* __restrict__ positions, int H, int K, int D, float sign,
                   int values) {
    constexpr int UNROLL = 4;
    const i64 token = blockIdx.x;
    const int half = D >> 1;
    const int groups = (half + 7) >> 3;
    const int lanes = blockDim.x / groups;
    const int lane = threadIdx.x / groups;
    const int j = (threadIdx.x - lane * groups) * 8;
    if (lane >= lanes) {
        return;
    }
    u16* row = out + token * (H + 2 * K) * D;
    float c[8], s[8];
    const i64 at = (i64)positions[token] * half;
    loadFloat8<VEC>(cosines + at, j, half, c);
    loadFloat8<VEC>(sines + at, j, half, s);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        s[i] *= sign;
    }
    const int heads = H + K + (values ? K : 0);
    for (int first = lane; first < heads; first += UNROLL * lanes) {
        uint4 low[UNROLL], high[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            const int h = first + u * lanes;
            if (h < heads) {
                const u16* from = h < H       ? q + token * qStride + h * D
                                  : h < H + K ? k + token * kStride + (h - H) * D
                                              : v + token * vStride + (h - H - K) * D;
                low[u] = load8<VEC>(from, j, half);
                high[u] = load8<VEC>(from + half, j, half);
            }
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            const int h = first + u * lanes;
            if (h < heads) {
                float a[8], b[8];
                unpack8(low[u], a);
                unpack8(high[u], b);
                if (bias) {
                    float x[8], y[8];
                    unpack8(load8<VEC>(bias + h * D, j, half), x);
                    unpack8(load8<VEC>(bias + h * D + half, j, half), y);
#pragma unroll
                    for (int i = 0; i < 8; i++) {
                        a[i] = rounded(a[i] + x[i]);
                        b[i] = rounded(b[i] + y[i]);
                    }
                }
                if (h < H + K) {
#pragma unroll
                    for (int i = 0; i < 8; i++) {
                        const float x = a[i];
                        a[i] = x * c[i] - b[i] * s[i];
                        b[i] = b[i] * c[i] + x * s[i];
                    }
                }
                store8<VEC>(row + h * D, j, half, pack8(a));
                store8<VEC>(row + h * D + half, j, half, pack8(b));
            }
        }
    }
}

#define ROPE(VEC, NAME)                                                                                               \
    extern "C" __global__ void __launch_bounds__(128) NAME(                                                           \
        const u16* q, const u16* k, const u16* v, i64 qStride, i64 kStride, i64 vStride, const u16* bias, u16* out,   \
        const float* cosines, const float* sines, const int* positions, int H, int K, int D, float sign,              \
        int values) {                                                                                                 \
        rotate<VEC>(q, k, v, qStride, kStride, vStride, bias, out, cosines, sines, positions, H, K, D, sign, values); \
    }
ROPE(true, rope)
ROPE(false, rope_any)
