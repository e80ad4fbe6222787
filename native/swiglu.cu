// SwiGLU (arXiv 2002.05202) over the fused gate and up projection.
//
// Reference, g = gateUp[t][f], u = gateUp[t][F + f]:
//   s   = 1 / (1 + exp(-g))
//   act = bf16(bf16(g s) * u)                       as transformers rounds
// Backward, over its own input:
//   dg  = bf16(dAct * u * s * (1 + g (1 - s)))
//   du  = bf16(dAct * bf16(g s))
//   act again, where it is asked for (it may overwrite dAct)
//
// Floors a token: forward 6F bytes, backward 10F, 12F with act.

DEVICE float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

template <bool VEC>
DEVICE void forward(const u16* __restrict__ gateUp, u16* __restrict__ act, int T, int F) {
    const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= F) {
        return;
    }
    for (i64 row = blockIdx.y; row < T; row += gridDim.y) {
        const u16* gate = gateUp + row * 2 * F;
        const uint4 x = load8<VEC>(gate, i, F);
        const uint4 y = load8<VEC>(gate + F, i, F);
        float g[8], u[8];
        unpack8(x, g);
        unpack8(y, u);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            g[k] = rounded(g[k] * sigmoid(g[k])) * u[k];
        }
        store8<VEC>(act + row * F, i, F, pack8(g));
    }
}

template <bool VEC>
DEVICE void backward(const u16* dAct, u16* gateUp, u16* act, int T, int F) {
    const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= F) {
        return;
    }
    for (i64 row = blockIdx.y; row < T; row += gridDim.y) {
        u16* gate = gateUp + row * 2 * F;
        const uint4 x = load8<VEC>(gate, i, F);
        const uint4 y = load8<VEC>(gate + F, i, F);
        const uint4 z = load8<VEC>(dAct + row * F, i, F);
        float g[8], u[8], d[8], out[8];
        unpack8(x, g);
        unpack8(y, u);
        unpack8(z, d);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            const float s = sigmoid(g[k]);
            const float silu = rounded(g[k] * s);
            out[k] = silu * u[k];
            g[k] = d[k] * u[k] * s * (1.0f + g[k] * (1.0f - s));
            u[k] = d[k] * silu;
        }
        store8<VEC>(gate, i, F, pack8(g));
        store8<VEC>(gate + F, i, F, pack8(u));
        if (act) {
            store8<VEC>(act + row * F, i, F, pack8(out));
        }
    }
}

extern "C" __global__ void swiglu_forward(const u16* gateUp, u16* act, int T, int F) { forward<true>(gateUp, act, T, F); }
extern "C" __global__ void swiglu_forward_any(const u16* gateUp, u16* act, int T, int F) {
    forward<false>(gateUp, act, T, F);
}
extern "C" __global__ void swiglu_backward(const u16* dAct, u16* gateUp, u16* act, int T, int F) {
    backward<true>(dAct, gateUp, act, T, F);
}
extern "C" __global__ void swiglu_backward_any(const u16* dAct, u16* gateUp, u16* act, int T, int F) {
    backward<false>(dAct, gateUp, act, T, F);
}
