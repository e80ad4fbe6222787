// Sums over rows, the same bits every time: each block adds its rows into a row of partial (P, N) fp32, then
// column_finish adds the P rows of each column in a fixed order and writes the gradient.
//
// Reference: out[j] = beta * out[j] + sum over t of x[t][j], fp32.
// Floor: 2 T N bytes for the sums of a bf16 (T, N); the partials are 4 P N bytes, written and read in L2.

// One block a row-slice, one thread a group of eight columns.
template <bool VEC>
DEVICE void partials(const u16* __restrict__ x, float* __restrict__ partial, int T, int N) {
    const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= N) {
        return;
    }
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    i64 row = blockIdx.y;
    for (; row + 3 * (i64)gridDim.y < T; row += 4 * (i64)gridDim.y) {
        uint4 a[4];
#pragma unroll
        for (int u = 0; u < 4; u++) {
            a[u] = load8<VEC>(x + (row + u * (i64)gridDim.y) * N, i, N);
        }
#pragma unroll
        for (int u = 0; u < 4; u++) {
            float b[8];
            unpack8(a[u], b);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                sum[k] += b[k];
            }
        }
    }
    for (; row < T; row += gridDim.y) {
        float b[8];
        unpack8(load8<VEC>(x + row * N, i, N), b);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            sum[k] += b[k];
        }
    }
    storeFloat8<VEC>(partial + (i64)blockIdx.y * N, i, N, sum);
}
extern "C" __global__ void column_partials(const u16* x, float* partial, int T, int N) {
    partials<true>(x, partial, T, N);
}
extern "C" __global__ void column_partials_any(const u16* x, float* partial, int T, int N) {
    partials<false>(x, partial, T, N);
}

// Blocks of (32 columns, 16 rows). out is bf16, or fp32 where isFloat; accumulate: beta 1.
extern "C" __global__ void __launch_bounds__(512) column_finish(const float* __restrict__ partial, void* out, int P,
                                                                int N, int isFloat, int accumulate) {
    __shared__ float part[16][33];
    const int column = blockIdx.x * 32 + threadIdx.x;
    float sum = 0.0f;
    if (column < N) {
        for (int p = threadIdx.y; p < P; p += 16) {
            sum += partial[(i64)p * N + column];
        }
    }
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || column >= N) {
        return;
    }
    sum = 0.0f;
#pragma unroll
    for (int p = 0; p < 16; p++) {
        sum += part[p][threadIdx.x];
    }
    if (isFloat) {
        float* to = (float*)out + column;
        *to = accumulate ? *to + sum : sum;
    } else {
        u16* to = (u16*)out + column;
        *to = floatToBf16(accumulate ? bf16ToFloat(*to) + sum : sum);
    }
}
