// Token embedding: rows gathered, and their gradient added up without atomics.
//
// Reference: out[t] = weight[ids[t]];  dWeight[id] = beta * dWeight[id] + sum over t with ids[t] == id of dx[t].
// For the gradient the host sorts the tokens by id: order (T) lists them, stable, segment s holds
// order[starts[s]..starts[s + 1]) and is id unique[s]. Rows of ids that do not occur are left alone.
//
// Floors: gather 4C bytes a token; gradient 2C a token and 2C (beta 0) or 4C (beta 1) a distinct id.

template <bool VEC>
DEVICE void gather(const u16* __restrict__ weight, const int* __restrict__ ids, u16* __restrict__ out, int C) {
    const i64 t = blockIdx.x;
    const u16* from = weight + (i64)ids[t] * C;
    for (int i = threadIdx.x * 8; i < C; i += blockDim.x * 8) {
        store8<VEC>(out + t * C, i, C, load8<VEC>(from, i, C));
    }
}
extern "C" __global__ void embedding_gather(const u16* weight, const int* ids, u16* out, int C) {
    gather<true>(weight, ids, out, C);
}
extern "C" __global__ void embedding_gather_any(const u16* weight, const int* ids, u16* out, int C) {
    gather<false>(weight, ids, out, C);
}

DEVICE void add8(float (&sum)[8], uint4 group) {
    float x[8];
    unpack8(group, x);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        sum[k] += x[k];
    }
}

// One block a segment and slice of columns. LANES threads share a column's tokens, eight at a time, for ids that occur
// often: one thread alone would be a chain of dependent loads; their sums are added in the order of the lanes.
template <bool VEC, int LANES>
DEVICE void scatter(const u16* __restrict__ dx, const int* __restrict__ order, const int* __restrict__ starts,
                    const int* __restrict__ unique, int first, void* dWeight, int C, int isFloat, int accumulate) {
    constexpr int UNROLL = 8;
    const int segment = first + blockIdx.x;
    const i64 id = unique[segment];
    const int end = starts[segment + 1];
    const int i = (blockIdx.y * blockDim.x + threadIdx.x) * 8;
    const bool inside = i < C;
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int t = starts[segment] + threadIdx.y * UNROLL; t < end; t += UNROLL * LANES) {
        if (t + UNROLL <= end) {
            uint4 a[UNROLL];
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                a[u] = load8<VEC>(dx + (i64)order[t + u] * C, i, C);
            }
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                add8(sum, a[u]);
            }
        } else {
            for (int u = t; u < end; u++) {
                add8(sum, load8<VEC>(dx + (i64)order[u] * C, i, C));
            }
        }
    }
    if constexpr (LANES > 1) {
        __shared__ float lanes[LANES][8][64];
#pragma unroll
        for (int k = 0; k < 8; k++) {
            lanes[threadIdx.y][k][threadIdx.x] = sum[k];
        }
        __syncthreads();
        if (threadIdx.y != 0) {
            return;
        }
#pragma unroll
        for (int lane = 1; lane < LANES; lane++) {
#pragma unroll
            for (int k = 0; k < 8; k++) {
                sum[k] += lanes[lane][k][threadIdx.x];
            }
        }
    }
    if (!inside) {
        return;
    }
    float old[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (accumulate) {
        if (isFloat) {
            loadFloat8<VEC>((const float*)dWeight + id * C, i, C, old);
        } else {
            unpack8(load8<VEC>((const u16*)dWeight + id * C, i, C), old);
        }
    }
#pragma unroll
    for (int k = 0; k < 8; k++) {
        sum[k] += old[k];
    }
    if (isFloat) {
        storeFloat8<VEC>((float*)dWeight + id * C, i, C, sum);
    } else {
        store8<VEC>((u16*)dWeight + id * C, i, C, pack8(sum));
    }
}
#define GRADIENT(VEC, LANES, THREADS, NAME)                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                             \
        NAME(const u16* dx, const int* order, const int* starts, const int* unique, int first, void* dWeight, int C,  \
             int isFloat, int accumulate) {                                                                           \
        scatter<VEC, LANES>(dx, order, starts, unique, first, dWeight, C, isFloat, accumulate);                       \
    }
GRADIENT(true, 1, 128, embedding_gradient)
GRADIENT(false, 1, 128, embedding_gradient_any)
GRADIENT(true, 8, 512, embedding_gradient_frequent)
GRADIENT(false, 8, 512, embedding_gradient_frequent_any)
