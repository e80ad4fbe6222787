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

// One block a segment and slice of columns: the tokens of an id are added in their order.
template <bool VEC>
DEVICE void scatter(const u16* __restrict__ dx, const int* __restrict__ order, const int* __restrict__ starts,
                    const int* __restrict__ unique, void* dWeight, int C, int isFloat, int accumulate) {
    constexpr int UNROLL = 8;
    const i64 id = unique[blockIdx.x];
    const int end = starts[blockIdx.x + 1];
    const int i = (blockIdx.y * blockDim.x + threadIdx.x) * 8;
    if (i >= C) {
        return;
    }
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    int t = starts[blockIdx.x];
    for (; t + UNROLL <= end; t += UNROLL) {
        uint4 a[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            a[u] = load8<VEC>(dx + (i64)order[t + u] * C, i, C);
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            add8(sum, a[u]);
        }
    }
    for (; t < end; t++) {
        add8(sum, load8<VEC>(dx + (i64)order[t] * C, i, C));
    }
    float old[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (isFloat) {
        float* to = (float*)dWeight + id * C;
        if (accumulate) {
            loadFloat8<VEC>(to, i, C, old);
        }
#pragma unroll
        for (int k = 0; k < 8; k++) {
            sum[k] += old[k];
        }
        storeFloat8<VEC>(to, i, C, sum);
    } else {
        u16* to = (u16*)dWeight + id * C;
        if (accumulate) {
            unpack8(load8<VEC>(to, i, C), old);
        }
#pragma unroll
        for (int k = 0; k < 8; k++) {
            sum[k] += old[k];
        }
        store8<VEC>(to, i, C, pack8(sum));
    }
}
extern "C" __global__ void embedding_gradient(const u16* dx, const int* order, const int* starts, const int* unique,
                                              void* dWeight, int C, int isFloat, int accumulate) {
    scatter<true>(dx, order, starts, unique, dWeight, C, isFloat, accumulate);
}
extern "C" __global__ void embedding_gradient_any(const u16* dx, const int* order, const int* starts,
                                                  const int* unique, void* dWeight, int C, int isFloat,
                                                  int accumulate) {
    scatter<false>(dx, order, starts, unique, dWeight, C, isFloat, accumulate);
}
