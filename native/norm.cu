// The 2-norm of flat buffers and the clip factor, on the device, the same bits every time.
//
// Reference: sumsq = sum of x^2 in fp64 (eight squares at a time in fp32);
//   norm = sqrt(sumsq), factor = min(1, max / (norm + 1e-6)) as torch's clip_grad_norm_ (1 where max <= 0),
//   finite = norm is finite.
// Floor: 2 bytes an element of a bf16 buffer, 4 of fp32.

template <bool FLOAT>
DEVICE void squares(const void* x, i64 n, double* __restrict__ partial) {
    __shared__ double slots[32];
    const i64 step = (i64)gridDim.x * blockDim.x;
    const i64 groups = n >> 3;
    double sum = 0.0;
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    constexpr int UNROLL = FLOAT ? 2 : 4;
    for (; i < groups; i += UNROLL * step) {
        float a[UNROLL][8];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            if (FLOAT) {
                loadFloat8<true>((const float*)x, (i + u * step) * 8, groups * 8, a[u]);
            } else {
                unpack8(load8<true>((const u16*)x, (i + u * step) * 8, groups * 8), a[u]);
            }
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            float eight = 0.0f;
#pragma unroll
            for (int k = 0; k < 8; k++) {
                eight += a[u][k] * a[u][k];
            }
            sum += eight;
        }
    }
    if (blockIdx.x == 0 && threadIdx.x < (n & 7)) {
        const i64 at = groups * 8 + threadIdx.x;
        const float a = FLOAT ? ((const float*)x)[at] : bf16ToFloat(((const u16*)x)[at]);
        sum += a * a;
    }
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    }
    if ((threadIdx.x & 31) == 0) {
        slots[threadIdx.x >> 5] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = 0.0;
        for (int w = 0; w < (int)blockDim.x >> 5; w++) {
            sum += slots[w];
        }
        partial[blockIdx.x] = sum;
    }
}
extern "C" __global__ void __launch_bounds__(512) squares_bf16(const void* x, i64 n, double* partial) {
    squares<false>(x, n, partial);
}
extern "C" __global__ void __launch_bounds__(512) squares_float(const void* x, i64 n, double* partial) {
    squares<true>(x, n, partial);
}

// One warp: lanes add every 32nd partial, then their sums are added in the order of the lanes.
extern "C" __global__ void squares_finish(const double* partial, int parts, double* sumsq, int accumulate) {
    double sum = 0.0;
    for (int p = threadIdx.x; p < parts; p += 32) {
        sum += partial[p];
    }
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    }
    if (threadIdx.x == 0) {
        *sumsq = accumulate ? *sumsq + sum : sum;
    }
}

// clip: {norm, factor, finite (1 or 0), 0}
extern "C" __global__ void clip_factor(const double* sumsq, float maxNorm, float* clip) {
    const float norm = (float)sqrt(*sumsq);
    const int finite = (__float_as_uint(norm) & 0x7f800000u) != 0x7f800000u;
    clip[0] = norm;
    clip[1] = maxNorm > 0.0f ? fminf(1.0f, __fdiv_rn(maxNorm, norm + 1e-6f)) : 1.0f;
    clip[2] = finite ? 1.0f : 0.0f;
    clip[3] = 0.0f;
}

// out = beta out + sum of x (n) fp32, added in fp64 in a fixed order by one block: the losses of a chunk.
extern "C" __global__ void __launch_bounds__(1024) sum_floats(const float* x, i64 n, double* out, int accumulate) {
    __shared__ double slots[32];
    double sum = 0.0;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        sum += x[i];
    }
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    }
    if ((threadIdx.x & 31) == 0) {
        slots[threadIdx.x >> 5] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = 0.0;
        for (int w = 0; w < (int)blockDim.x >> 5; w++) {
            sum += slots[w];
        }
        *out = accumulate ? *out + sum : sum;
    }
}
