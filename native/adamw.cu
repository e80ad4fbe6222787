// AdamW (arXiv 1711.05101) over flat buffers, fused with clipping, for every way of keeping weights and moments.
// Compiled per mode: WEIGHTS 0 split, 1 stochastic, 2 none (bf16), 3 fp32; MOMENTS 0 fp32, 1 bf16, 2 blocks of 8 bits;
// GRADS 0 bf16, 1 fp32.
//
// Reference, fp32, each operation rounded once (fma where written so), in the order of torch's fused AdamW:
//   g = grad * clip factor
//   p = fma(-lr weight_decay, p, p)                  (elements before `decayed`)
//   m = fma(beta1, m, (1 - beta1) g)
//   v = fma(beta2, v, ((1 - beta2) g) g)
//   p = p - (lr / bias1 * m) / (sqrt(v) * (1 / sqrt(bias2)) + eps)
// (1 - beta), lr / bias1, lr weight_decay and 1 / sqrt(bias2) are computed in fp64 on the host and rounded. torch's
// own kernel takes its scalars in fp64 and divides by sqrt(bias2), so it differs in last
// bits. AdamWReference.java of the tests is this file in Java, bit for bit.
//
// Keeping:
//   split       p is hi (bf16) and lo (16 bits): hi = (bits + 0x8000) >> 16, bits = (hi << 16) + signed(lo). Exact.
//               Inf and NaN: hi = bits >> 16 (quieted), lo = 0.
//   stochastic  p (bf16) is p + 16 random bits below its last place, cut; Inf and NaN are kept.
//   bf16 moments  m to nearest even, v stochastically: (1 - beta2) v is below half a unit of bf16, so v to nearest
//               could never decay.
//   8 bits      blocks of 256 share a scale, their largest magnitude; codes are those of bitsandbytes' dynamic map
//               (below). m to nearest; v stochastically between its two neighbours, for the same reason; a positive v
//               never becomes 0, which would turn m / (sqrt(v) + eps) into an explosion.
// Random bits are Philox4x32-10 of key seed and counter (index / 8, step, 2 buffer + purpose): 8 x 16 bits.
//
// If the finite flag at clip[2] is 0, nothing is changed. clip may be null: factor 1.
// Floors, bytes an element: weights split 8, stochastic and none 4, fp32 8; moments fp32 16, bf16 8, 8 bits 4.1;
// gradient bf16 2, fp32 4.

#ifndef WEIGHTS
#define WEIGHTS 0
#define MOMENTS 1
#define GRADS 0
#endif

DEVICE u32 roundStochastic(float x, u32 random16) {
    const u32 bits = __float_as_uint(x);
    if ((bits & 0x7f800000u) == 0x7f800000u) {
        return (bits >> 16) | ((bits & 0x007fffffu) ? 0x40u : 0u);
    }
    return (bits + random16) >> 16;
}

// hi in the upper half, lo in the lower.
DEVICE u32 split(float x) {
    const u32 bits = __float_as_uint(x);
    if ((bits & 0x7f800000u) == 0x7f800000u) {
        return (bits & 0xffff0000u) | ((bits & 0x007fffffu) ? 0x400000u : 0u);
    }
    return ((bits + 0x8000u) & 0xffff0000u) | (bits & 0xffffu);
}

DEVICE float join(u32 hi, u32 lo) { return __uint_as_float((hi << 16) + (u32)(int)(short)lo); }

DEVICE u32 half16(const uint4& words, int k) {
    const u32 w = (k >> 1) == 0 ? words.x : (k >> 1) == 1 ? words.y : (k >> 1) == 2 ? words.z : words.w;
    return (k & 1) ? w >> 16 : w & 0xffffu;
}

DEVICE uint4 philox(u64 group, u32 step, u32 purpose, u64 seed) {
    u32 a = (u32)group, b = (u32)(group >> 32), c = step, d = purpose;
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const u32 high0 = __umulhi(0xD2511F53u, a), low0 = 0xD2511F53u * a;
        const u32 high1 = __umulhi(0xCD9E8D57u, c), low1 = 0xCD9E8D57u * c;
        a = high1 ^ b ^ k0;
        b = low1;
        c = high0 ^ d ^ k1;
        d = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(a, b, c, d);
}

#if MOMENTS == 2
// The dynamic map: seven decades, decade i of 10^(i-7)..10^(i-6) with N 2^i codes (N = 1 signed, 2 unsigned) at the
// middles of equal intervals, and 0 and 1. Magnitudes are numbered from 0: zero, then the codes in order, then 1:
// 129 signed, 256 unsigned. A signed code is 127 + magnitude, or 127 - magnitude (which ends at 127: -1 has no code).
DEVICE float magnitude(int number, int n) {
    const int last = n == 1 ? 128 : 255;
    if (number == 0) {
        return 0.0f;
    }
    if (number == last) {
        return 1.0f;
    }
    const int at = number - 1 + n;
    const int decade = 31 - __clz(at / n);
    const double count = (double)(n << decade);
    const double tens[7] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0};
    double scale = tens[0];
#pragma unroll
    for (int i = 1; i < 7; i++) {
        scale = decade == i ? tens[i] : scale;
    }
    const double middle = __ddiv_rn(__dadd_rn((double)(at - (n << decade)), 0.5), count);
    return (float)__dmul_rn(scale, __dadd_rn(0.1, __dmul_rn(0.9, middle)));
}

// The number of the interval that x in [0, 1] lies in, from 1 on (also below the first): each decade adds its share,
// by saturating multiply-adds, which are free of the pipe of comparisons that bounds this kernel.
template <int N>
DEVICE int interval(float x) {
    float f = 0.0f;
    f = fmaf(__saturatef(fmaf(x, (float)(1e6 / 0.9), (float)(-1 / 9.0))), (float)N, f);
    f = fmaf(__saturatef(fmaf(x, (float)(1e5 / 0.9), (float)(-1 / 9.0))), (float)(2 * N), f);
    f = fmaf(__saturatef(fmaf(x, (float)(1e4 / 0.9), (float)(-1 / 9.0))), (float)(4 * N), f);
    f = fmaf(__saturatef(fmaf(x, (float)(1e3 / 0.9), (float)(-1 / 9.0))), (float)(8 * N), f);
    f = fmaf(__saturatef(fmaf(x, (float)(1e2 / 0.9), (float)(-1 / 9.0))), (float)(16 * N), f);
    f = fmaf(__saturatef(fmaf(x, (float)(1e1 / 0.9), (float)(-1 / 9.0))), (float)(32 * N), f);
    f = fmaf(__saturatef(fmaf(x, (float)(1 / 0.9), (float)(-1 / 9.0))), (float)(64 * N), f);
    return (int)floorf(f) + 1;
}

template <bool FULL>
DEVICE void loadCodes(const unsigned char* codes, i64 i, i64 n, u32 (&words)[2]) {
    if constexpr (FULL) {
        const uint2 two = *(const uint2*)(codes + i);
        words[0] = two.x;
        words[1] = two.y;
    } else {
        words[0] = words[1] = 0;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (i + k < n) {
                words[k >> 2] |= (u32)codes[i + k] << (8 * (k & 3));
            }
        }
    }
}

template <bool FULL>
DEVICE void storeCodes(unsigned char* codes, i64 i, i64 n, const u32 (&words)[2]) {
    if constexpr (FULL) {
        *(uint2*)(codes + i) = make_uint2(words[0], words[1]);
    } else {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (i + k < n) {
                codes[i + k] = (unsigned char)(words[k >> 2] >> (8 * (k & 3)));
            }
        }
    }
}

struct Tables {
    float decodeM[256]; // by code
    float decodeV[257]; // by code, which is the magnitude's number; 2 at the end
    float betweenM[129]; // the middle between magnitude number - 1 and number
};

// x in [-1, 1], or beyond by a rounding, to the code nearest.
DEVICE u32 encodeM(float x, const Tables& tables) {
    const float a = fabsf(x);
    int number = interval<1>(a);
    number -= a < tables.betweenM[number];
    number = a >= tables.betweenM[128] ? 128 : number;
    return x < 0.0f ? 127 - min(number, 127) : 127 + number;
}

// x in [0, 1], or beyond by a rounding, to one of the two codes around it, in proportion to nearness.
DEVICE u32 encodeV(float x, u32 random16, const Tables& tables) {
    int number = interval<2>(x);
    number -= x < tables.decodeV[number];
    const float low = tables.decodeV[number], high = tables.decodeV[number + 1];
    // (random16 + 0.5) / 65536, exactly
    const float u = __uint_as_float(0x3f800000u | random16 << 7) - (1.0f - 0.5f / 65536.0f);
    number += x - low > __fmul_rn(u, high - low);
    return max(number, (int)(x > 0.0f));
}
#endif

// Correctly rounded, as __fsqrt_rn and __fdiv_rn, without their branches for extreme exponents, which would be taken
// by none and cost every element (8-bit moments are bound by instructions). Roots of v below 1e-30 may be off: eps
// swallows them. Quotients below 1e-30 may be off in their last bit. An infinite v gives NaN; the finite flag and the
// clip factor keep it away.
DEVICE float squareRoot(float v) {
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(fmaxf(v, 1.17549435e-38f)));
    const float g = __fmul_rn(v, y);
    return __fmaf_rn(__fmaf_rn(-g, g, v), __fmul_rn(0.5f, y), g);
}

DEVICE float quotient(float a, float b) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(b));
    r = __fmaf_rn(r, __fmaf_rn(-b, r, 1.0f), r);
    float q = __fmul_rn(a, r);
    q = __fmaf_rn(__fmaf_rn(-b, q, a), r, q);
    return __fmaf_rn(__fmaf_rn(-b, q, a), r, q);
}

struct Update {
    void* weights;
    u16* low;
    const void* grads;
    void* m;
    void* v;
    float* mScale;
    float* vScale;
    i64 n;
    i64 first;
    i64 decayed;
    u64 seed;
    u32 step;
    u32 buffer;
    float beta1, oneMinusBeta1, beta2, oneMinusBeta2, stepSize, decay, inverseSqrtBias2, eps;
};

template <bool FULL>
DEVICE void update8(const Update& a, i64 i, float factor
#if MOMENTS == 2
                    , const Tables& tables
#endif
) {
    const i64 n = a.n;
    float p[8], g[8], m[8], v[8];
    // loads first, all of them in flight together
#if WEIGHTS == 3
    loadFloat8<FULL>((const float*)a.weights, i, n, p);
#else
    const uint4 hi = load8<FULL>((const u16*)a.weights, i, n);
#endif
#if WEIGHTS == 0
    const uint4 lo = load8<FULL>(a.low, i, n);
#endif
#if GRADS == 0
    const uint4 gradient = load8<FULL>((const u16*)a.grads, i, n);
#else
    loadFloat8<FULL>((const float*)a.grads, i, n, g);
#endif
#if MOMENTS == 0
    loadFloat8<FULL>((const float*)a.m, i, n, m);
    loadFloat8<FULL>((const float*)a.v, i, n, v);
#elif MOMENTS == 1
    const uint4 mPack = load8<FULL>((const u16*)a.m, i, n);
    const uint4 vPack = load8<FULL>((const u16*)a.v, i, n);
#else
    u32 mCodes[2], vCodes[2];
    float mScale = 0.0f, vScale = 0.0f;
    loadCodes<FULL>((const unsigned char*)a.m, i, n, mCodes);
    loadCodes<FULL>((const unsigned char*)a.v, i, n, vCodes);
    if (i < n) {
        mScale = a.mScale[i >> 8];
        vScale = a.vScale[i >> 8];
    }
#endif

#if WEIGHTS == 0
    {
        const u32 h[4] = {hi.x, hi.y, hi.z, hi.w}, l[4] = {lo.x, lo.y, lo.z, lo.w};
#pragma unroll
        for (int k = 0; k < 8; k++) {
            const int shift = 16 * (k & 1);
            p[k] = join(h[k >> 1] >> shift & 0xffffu, l[k >> 1] >> shift & 0xffffu);
        }
    }
#elif WEIGHTS != 3
    unpack8(hi, p);
#endif
#if GRADS == 0
    unpack8(gradient, g);
#endif
#if MOMENTS == 1
    unpack8(mPack, m);
    unpack8(vPack, v);
#elif MOMENTS == 2
#pragma unroll
    for (int k = 0; k < 8; k++) {
        m[k] = __fmul_rn(tables.decodeM[mCodes[k >> 2] >> (8 * (k & 3)) & 255], mScale);
        v[k] = __fmul_rn(tables.decodeV[vCodes[k >> 2] >> (8 * (k & 3)) & 255], vScale);
    }
#endif

    const float decay = a.first + i < a.decayed ? -a.decay : 0.0f;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        const float gk = __fmul_rn(g[k], factor);
        p[k] = __fmaf_rn(decay, p[k], p[k]);
        m[k] = __fmaf_rn(a.beta1, m[k], __fmul_rn(a.oneMinusBeta1, gk));
        v[k] = __fmaf_rn(a.beta2, v[k], __fmul_rn(__fmul_rn(a.oneMinusBeta2, gk), gk));
        const float denominator = __fadd_rn(__fmul_rn(squareRoot(v[k]), a.inverseSqrtBias2), a.eps);
        p[k] = __fsub_rn(p[k], quotient(__fmul_rn(a.stepSize, m[k]), denominator));
    }

    const u64 group = (u64)(a.first + i) >> 3;
#if MOMENTS == 0
    storeFloat8<FULL>((float*)a.m, i, n, m);
    storeFloat8<FULL>((float*)a.v, i, n, v);
#elif MOMENTS == 1
    store8<FULL>((u16*)a.m, i, n, pack8(m));
    {
        const uint4 random = philox(group, a.step, 2 * a.buffer, a.seed);
        u32 w[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            w[k] = roundStochastic(v[2 * k], half16(random, 2 * k))
                 | roundStochastic(v[2 * k + 1], half16(random, 2 * k + 1)) << 16;
        }
        store8<FULL>((u16*)a.v, i, n, make_uint4(w[0], w[1], w[2], w[3]));
    }
#else
    {
        float mMax = 0.0f, vMax = 0.0f;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (FULL || i + k < n) {
                mMax = fmaxf(mMax, fabsf(m[k]));
                vMax = fmaxf(vMax, v[k]);
            }
        }
        mMax = warpMax(mMax);
        vMax = warpMax(vMax);
        const float mInverse = mMax > 0.0f ? __frcp_rn(mMax) : 0.0f;
        const float vInverse = vMax > 0.0f ? __frcp_rn(vMax) : 0.0f;
        const uint4 random = philox(group, a.step, 2 * a.buffer, a.seed);
        mCodes[0] = mCodes[1] = vCodes[0] = vCodes[1] = 0;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            const int shift = 8 * (k & 3);
            mCodes[k >> 2] |= encodeM(__fmul_rn(m[k], mInverse), tables) << shift;
            vCodes[k >> 2] |= encodeV(__fmul_rn(v[k], vInverse), half16(random, k), tables) << shift;
        }
        storeCodes<FULL>((unsigned char*)a.m, i, n, mCodes);
        storeCodes<FULL>((unsigned char*)a.v, i, n, vCodes);
        if ((threadIdx.x & 31) == 0 && i < n) {
            a.mScale[i >> 8] = mMax;
            a.vScale[i >> 8] = vMax;
        }
    }
#endif

#if WEIGHTS == 3
    storeFloat8<FULL>((float*)a.weights, i, n, p);
#elif WEIGHTS == 2
    store8<FULL>((u16*)a.weights, i, n, pack8(p));
#elif WEIGHTS == 1
    {
        const uint4 random = philox(group, a.step, 2 * a.buffer + 1, a.seed);
        u32 w[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            w[k] = roundStochastic(p[2 * k], half16(random, 2 * k))
                 | roundStochastic(p[2 * k + 1], half16(random, 2 * k + 1)) << 16;
        }
        store8<FULL>((u16*)a.weights, i, n, make_uint4(w[0], w[1], w[2], w[3]));
    }
#else
    {
        u32 h[4], l[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const u32 x = split(p[2 * k]), y = split(p[2 * k + 1]);
            h[k] = x >> 16 | (y & 0xffff0000u);
            l[k] = (x & 0xffffu) | y << 16;
        }
        store8<FULL>((u16*)a.weights, i, n, make_uint4(h[0], h[1], h[2], h[3]));
        store8<FULL>(a.low, i, n, make_uint4(l[0], l[1], l[2], l[3]));
    }
#endif
}

// One warp a block of 256 elements, in a grid-stride loop.
extern "C" __global__ void __launch_bounds__(256, 3) adamw(
    void* weights, u16* low, const void* grads, void* m, void* v, float* mScale, float* vScale, const float* clip,
    i64 n, i64 first, i64 decayed, u64 seed, u32 step, u32 buffer, float beta1, float oneMinusBeta1, float beta2,
    float oneMinusBeta2, float stepSize, float decay, float inverseSqrtBias2, float eps) {
    const float factor = clip ? clip[1] : 1.0f;
    if (clip && clip[2] == 0.0f) {
        return;
    }
    const Update a{weights, low,  grads, m,      v,     mScale,        vScale, n,             first,    decayed, seed,
                   step,    buffer, beta1, oneMinusBeta1, beta2, oneMinusBeta2, stepSize, decay,  inverseSqrtBias2, eps};
#if MOMENTS == 2
    __shared__ Tables tables;
    for (int c = threadIdx.x; c < 256; c += blockDim.x) {
        tables.decodeM[c] = c < 127 ? -magnitude(127 - c, 1) : magnitude(c - 127, 1);
        tables.decodeV[c] = magnitude(c, 2);
        tables.decodeV[256] = 2.0f;
        if (c < 129) {
            tables.betweenM[c] = c == 0 ? -1.0f : 0.5f * (magnitude(c - 1, 1) + magnitude(c, 1));
        }
    }
    __syncthreads();
#endif
    const i64 stride = (i64)gridDim.x * blockDim.x * 8;
    const int lane = threadIdx.x & 31;
    // the warp as one: shuffles need all its lanes
    for (i64 block = ((i64)blockIdx.x * blockDim.x + threadIdx.x - lane) * 8; block < n; block += stride) {
        const i64 i = block + lane * 8;
        if (block + 256 <= n) {
            update8<true>(a, i, factor
#if MOMENTS == 2
                          , tables
#endif
            );
        } else {
            update8<false>(a, i, factor
#if MOMENTS == 2
                           , tables
#endif
            );
        }
    }
}
