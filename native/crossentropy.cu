// Cross-entropy of rows of logits and its gradient, in place.
//
// Reference, a row z of V logits with target y:
//   lse   = log(sum over j of exp(z[j]))
//   loss  = lse - z[y]
//   z[j]  = bf16((exp(z[j] - lse) - (j == y)) * scale)
// A row whose target is negative has loss 0 and gradient 0. Columns from V to ld are set to 0.
//
// Floor: 4V bytes a row. Rows of up to 32,768 logits live in a block's registers: one read, one write. Longer ones are
// read twice, the second time partly from L2; but from 98,305 to 131,072 (Llama 3's 128,256), on sm_90, they live in
// the registers of a cluster of four blocks, which exchange their sums through distributed shared memory. Clusters
// whose blocks are less full were slower than reading twice (NOTES.md).

#define LOG2E 1.4426950408889634f

DEVICE float pow2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#define NEG_INF __int_as_float(0xff800000)

// Running maximum and sum of exponentials of a block, merged in the order of the warps.
struct Lse {
    float max;
    float sum;
};

DEVICE Lse merge(Lse a, Lse b) {
    const float m = fmaxf(a.max, b.max);
    if (m == NEG_INF) {
        return Lse{m, 0.0f};
    }
    return Lse{m, a.sum * pow2((a.max - m) * LOG2E) + b.sum * pow2((b.max - m) * LOG2E)};
}

DEVICE Lse blockMerge(Lse x, Lse* slots) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        Lse y;
        y.max = __shfl_xor_sync(0xffffffffu, x.max, lane);
        y.sum = __shfl_xor_sync(0xffffffffu, x.sum, lane);
        // the lower lane's value first, so that all lanes agree to the bit
        x = (threadIdx.x & lane) ? merge(y, x) : merge(x, y);
    }
    if ((threadIdx.x & 31) == 0) {
        slots[threadIdx.x >> 5] = x;
    }
    __syncthreads();
    Lse total = slots[0];
    for (int w = 1; w < (int)blockDim.x >> 5; w++) {
        total = merge(total, slots[w]);
    }
    return total;
}

// Adds eight logits, of which those from column V on do not count.
DEVICE Lse add8(Lse t, uint4 group, int i, int V) {
    float x[8];
    unpack8(group, x);
    float m = t.max;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        x[k] = i + k < V ? x[k] : NEG_INF;
        m = fmaxf(m, x[k]);
    }
    if (m == NEG_INF) {
        return t;
    }
    const float shift = -m * LOG2E;
    float sum = t.sum * pow2((t.max - m) * LOG2E);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        sum += pow2(fmaf(x[k], LOG2E, shift));
    }
    return Lse{m, sum};
}

DEVICE uint4 gradient8(uint4 group, int i, int V, i64 target, float shift, float scale) {
    float x[8];
    unpack8(group, x);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        const float p = pow2(fmaf(x[k], LOG2E, shift));
        x[k] = i + k < V ? (p - (i + k == target ? 1.0f : 0.0f)) * scale : 0.0f;
    }
    return pack8(x);
}

// Merges the results of a cluster's blocks in the order of their ranks. All of its blocks call this, and
// clusterWait before they end.
DEVICE Lse clusterMerge(Lse mine, Lse* slot, int blocks) {
#if __CUDA_ARCH__ >= 900
    if (threadIdx.x == 0) {
        *slot = mine;
    }
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
    const u32 here = (u32)__cvta_generic_to_shared(slot);
    Lse total{NEG_INF, 0.0f};
    for (int rank = 0; rank < blocks; rank++) {
        u32 there;
        Lse x;
        asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
        asm volatile("ld.shared::cluster.v2.f32 {%0, %1}, [%2];" : "=f"(x.max), "=f"(x.sum) : "r"(there) : "memory");
        total = merge(total, x);
    }
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
    return total;
#else
    return mine;
#endif
}

// A block's shared memory must outlive the others' reads of it.
DEVICE void clusterWait() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

// VEC: rows are 16-byte aligned and ld a multiple of 8, so that the last group may be read and written whole.
// G groups a thread live in registers; G = 0 reads the row twice. CLUSTER blocks share a row.
template <int G, bool VEC, int CLUSTER>
DEVICE void crossEntropy(u16* logits, const void* targets, int wide, float* loss, int V, i64 ld, float scale) {
    __shared__ Lse slots[32];
    __shared__ __align__(8) Lse slot;
    const i64 row = blockIdx.x / CLUSTER;
    const int rank = blockIdx.x % CLUSTER;
    u16* z = logits + row * ld;
    const i64 target = wide ? ((const i64*)targets)[row] : (i64)((const int*)targets)[row];
    const int end = VEC ? (V + 7) & ~7 : V;
    if (target < 0 || target >= V) {
        // beyond V: the caller's error, made visible as NaN rather than read out of bounds
        for (i64 i = (i64)(rank * blockDim.x + threadIdx.x) * 8; i < ld; i += CLUSTER * blockDim.x * 8) {
            store8<VEC>(z, i, ld, zero4());
        }
        if (rank == 0 && threadIdx.x == 0) {
            loss[row] = target < 0 ? 0.0f : __int_as_float(0x7fffffff);
        }
        return;
    }
    const float atTarget = bf16ToFloat(z[target]);
    Lse mine{NEG_INF, 0.0f};
    const int each = (end + 8 * CLUSTER - 1) / (8 * CLUSTER) * 8;
    const int first = rank * each;
    const int last = min(end, first + each);
    const int step = blockDim.x * 8;
    const int start = first + threadIdx.x * 8;
    uint4 kept[G ? G : 1];
    if constexpr (G > 0) {
#pragma unroll
        for (int g = 0; g < G; g++) {
            kept[g] = load8<VEC>(z, start + g * step, last);
        }
#pragma unroll
        for (int g = 0; g < G; g++) {
            // a group past the end counts for nothing, whatever V
            mine = add8(mine, kept[g], start + g * step, min(V, last));
        }
    } else {
        int i = start;
        for (; i + 3 * step < last; i += 4 * step) {
            uint4 a[4];
#pragma unroll
            for (int u = 0; u < 4; u++) {
                a[u] = load8<VEC>(z, i + u * step, last);
            }
#pragma unroll
            for (int u = 0; u < 4; u++) {
                mine = add8(mine, a[u], i + u * step, V);
            }
        }
        for (; i < last; i += step) {
            mine = add8(mine, load8<VEC>(z, i, last), i, V);
        }
    }
    // every thread passes the barrier after its reads, so atTarget is read before it is overwritten
    Lse total = blockMerge(mine, slots);
    if constexpr (CLUSTER > 1) {
        total = clusterMerge(total, &slot, CLUSTER);
    }
    const float lse = total.max + logf(total.sum);
    const float shift = -lse * LOG2E;
    if (rank == 0 && threadIdx.x == 0) {
        loss[row] = lse - atTarget;
    }
    if constexpr (G > 0) {
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int i = start + g * step;
            store8<VEC>(z, i, last, gradient8(kept[g], i, V, target, shift, scale));
        }
    } else {
        int i = start;
        for (; i + 3 * step < last; i += 4 * step) {
            uint4 a[4];
#pragma unroll
            for (int u = 0; u < 4; u++) {
                a[u] = load8<VEC>(z, i + u * step, last);
            }
#pragma unroll
            for (int u = 0; u < 4; u++) {
                store8<VEC>(z, i + u * step, last, gradient8(a[u], i + u * step, V, target, shift, scale));
            }
        }
        for (; i < last; i += step) {
            store8<VEC>(z, i, last, gradient8(load8<VEC>(z, i, last), i, V, target, shift, scale));
        }
    }
    if (rank == 0) {
        for (i64 i = end + threadIdx.x; i < ld; i += blockDim.x) {
            z[i] = 0;
        }
    }
    if constexpr (CLUSTER > 1) {
        clusterWait();
    }
}

#define CROSS_ENTROPY(G, VEC, CLUSTER, ATTRIBUTES, NAME)                                                              \
    extern "C" __global__ void ATTRIBUTES __launch_bounds__(512, 2)                                                   \
        NAME(u16* logits, const void* targets, int wide, float* loss, int V, i64 ld, float scale) {                   \
        crossEntropy<G, VEC, CLUSTER>(logits, targets, wide, loss, V, ld, scale);                                     \
    }
CROSS_ENTROPY(8, true, 1, , cross_entropy)
CROSS_ENTROPY(0, true, 1, , cross_entropy_long)
CROSS_ENTROPY(0, false, 1, , cross_entropy_any)
#if __CUDA_ARCH__ >= 900
CROSS_ENTROPY(8, true, 4, __cluster_dims__(4), cross_entropy_4)
#endif
