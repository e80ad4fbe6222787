// RMSNorm (arXiv 1910.07467, eq. 4), with the residual add in front of it and the gradient past it behind it.
//
// Reference, a row x of C values:
//   residual = bf16(x + delta)                     (or x, without delta)
//   rstd     = 1 / sqrt(mean(residual^2) + eps)    fp32
//   n        = bf16(residual * rstd)               as transformers' LlamaRMSNorm rounds
//   y        = bf16(n * w)
// Backward, with dn = dy * w:
//   dx       = bf16(dResidual + rstd * (dn - x rstd * mean(dn * x rstd)))
//   dw[j]    = sum over rows of dy * n
//
// Floors a row of C bf16: forward 4 x 2C bytes with delta (2 x 2C without), backward 4 x 2C.

template <int G, bool VEC>
DEVICE void forward(const u16* __restrict__ x, const u16* __restrict__ delta, const u16* __restrict__ w,
                    const int* __restrict__ rows, u16* residual, u16* __restrict__ y, float* __restrict__ rstd, int C,
                    float eps) {
    __shared__ float slots[32];
    const i64 to = blockIdx.x;
    const i64 from = rows ? rows[to] : to;
    uint4 r[G], weight[G];
    float sum = 0.0f;
#pragma unroll
    for (int g = 0; g < G; g++) {
        r[g] = load8<VEC>(x + from * C, (g * blockDim.x + threadIdx.x) * 8, C);
    }
    if (delta) {
        uint4 d[G];
#pragma unroll
        for (int g = 0; g < G; g++) {
            d[g] = load8<VEC>(delta + from * C, (g * blockDim.x + threadIdx.x) * 8, C);
        }
#pragma unroll
        for (int g = 0; g < G; g++) {
            float a[8], b[8];
            unpack8(r[g], a);
            unpack8(d[g], b);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                a[k] += b[k];
            }
            r[g] = pack8(a);
        }
    }
#pragma unroll
    for (int g = 0; g < G; g++) {
        weight[g] = load8<VEC>(w, (g * blockDim.x + threadIdx.x) * 8, C);
    }
#pragma unroll
    for (int g = 0; g < G; g++) {
        if (residual) {
            store8<VEC>(residual + to * C, (g * blockDim.x + threadIdx.x) * 8, C, r[g]);
        }
        float a[8];
        unpack8(r[g], a);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            sum += a[k] * a[k];
        }
    }
    const float scale = 1.0f / sqrtf(blockSum(sum, slots) / C + eps);
    if (threadIdx.x == 0) {
        rstd[to] = scale;
    }
#pragma unroll
    for (int g = 0; g < G; g++) {
        float a[8], b[8];
        unpack8(r[g], a);
        unpack8(weight[g], b);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            a[k] = rounded(a[k] * scale) * b[k];
        }
        store8<VEC>(y + to * C, (g * blockDim.x + threadIdx.x) * 8, C, pack8(a));
    }
}

// Blocks walk over rows; a thread owns G groups of columns and keeps their dw in registers, written once to
// partial (gridDim.x, C), which column_finish adds up in order. dx may be dResidual, and scattered to rows.
template <int G, bool VEC>
DEVICE void backward(const u16* __restrict__ dy, const u16* __restrict__ residual, const u16* __restrict__ w,
                     const float* __restrict__ rstd, const u16* dResidual, const int* __restrict__ rows, u16* dx,
                     float* __restrict__ partial, int T, int C) {
    __shared__ float slots[2][32];
    float dw[G][8];
    uint4 weight[G];
#pragma unroll
    for (int g = 0; g < G; g++) {
        weight[g] = load8<VEC>(w, (g * blockDim.x + threadIdx.x) * 8, C);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            dw[g][k] = 0.0f;
        }
    }
    int turn = 0;
    for (i64 row = blockIdx.x; row < T; row += gridDim.x, turn ^= 1) {
        uint4 d[G], r[G], past[G];
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int i = (g * blockDim.x + threadIdx.x) * 8;
            d[g] = load8<VEC>(dy + row * C, i, C);
            r[g] = load8<VEC>(residual + row * C, i, C);
            past[g] = dResidual ? load8<VEC>(dResidual + row * C, i, C) : zero4();
        }
        const float scale = rstd[row];
        float dot = 0.0f;
#pragma unroll
        for (int g = 0; g < G; g++) {
            float a[8], b[8], c[8];
            unpack8(d[g], a);
            unpack8(r[g], b);
            unpack8(weight[g], c);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                const float n = b[k] * scale;
                dot += a[k] * c[k] * n;
                dw[g][k] += a[k] * rounded(n);
            }
        }
        const float mean = blockSum(dot, slots[turn]) / C;
        const i64 to = rows ? rows[row] : row;
#pragma unroll
        for (int g = 0; g < G; g++) {
            float a[8], b[8], c[8], p[8];
            unpack8(d[g], a);
            unpack8(r[g], b);
            unpack8(weight[g], c);
            unpack8(past[g], p);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                p[k] += scale * (a[k] * c[k] - b[k] * scale * mean);
            }
            store8<VEC>(dx + to * C, (g * blockDim.x + threadIdx.x) * 8, C, pack8(p));
        }
    }
    if (partial) {
#pragma unroll
        for (int g = 0; g < G; g++) {
            storeFloat8<VEC>(partial + (i64)blockIdx.x * C, (g * blockDim.x + threadIdx.x) * 8, C, dw[g]);
        }
    }
}

#define FORWARD(G, VEC, THREADS, NAME)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(                                                       \
        const u16* x, const u16* delta, const u16* w, const int* rows, u16* residual, u16* y, float* rstd, int C,     \
        float eps) {                                                                                                  \
        forward<G, VEC>(x, delta, w, rows, residual, y, rstd, C, eps);                                                \
    }
FORWARD(1, true, 256, rmsnorm_forward_1)
FORWARD(2, true, 256, rmsnorm_forward_2)
FORWARD(4, true, 256, rmsnorm_forward_4)
FORWARD(4, true, 1024, rmsnorm_forward_wide)
FORWARD(4, false, 1024, rmsnorm_forward_any)

#define BACKWARD(G, VEC, THREADS, NAME)                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(                                                       \
        const u16* dy, const u16* residual, const u16* w, const float* rstd, const u16* dResidual, const int* rows,   \
        u16* dx, float* partial, int T, int C) {                                                                      \
        backward<G, VEC>(dy, residual, w, rstd, dResidual, rows, dx, partial, T, C);                                  \
    }
BACKWARD(1, true, 256, rmsnorm_backward_1)
BACKWARD(2, true, 256, rmsnorm_backward_2)
BACKWARD(2, true, 512, rmsnorm_backward_wide)
BACKWARD(4, true, 1024, rmsnorm_backward_widest)
BACKWARD(4, false, 1024, rmsnorm_backward_any)

// y again from a kept rstd: what recomputation asks for. Floor 2 x 2C bytes a row.
template <bool VEC>
DEVICE void again(const u16* __restrict__ x, const u16* __restrict__ w, const float* __restrict__ rstd,
                  u16* __restrict__ y, int C) {
    const i64 row = blockIdx.x;
    const float scale = rstd[row];
    for (int i = threadIdx.x * 8; i < C; i += blockDim.x * 8) {
        float a[8], b[8];
        unpack8(load8<VEC>(x + row * C, i, C), a);
        unpack8(load8<VEC>(w, i, C), b);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            a[k] = rounded(a[k] * scale) * b[k];
        }
        store8<VEC>(y + row * C, i, C, pack8(a));
    }
}
extern "C" __global__ void rmsnorm_again(const u16* x, const u16* w, const float* rstd, u16* y, int C) {
    again<true>(x, w, rstd, y, C);
}
extern "C" __global__ void rmsnorm_again_any(const u16* x, const u16* w, const float* rstd, u16* y, int C) {
    again<false>(x, w, rstd, y, C);
}
