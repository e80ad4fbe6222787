// Quantised matrices (rows, columns) to bf16, into a buffer whose rows are `stride` elements apart.
// Plain reference: ops/Dequantisation.java, whose bits these are: each product and sum is rounded on its own.
// NormalFloat 4 (arXiv 2305.14314): w = values[code] * scale of the block of 64 in row-major order; two codes a byte,
// the first in the high half. Its scale is fp32, or map[scaleCode] * group[block / 256] + *offset.
// Int8: w = code * (absmax[row] / 127).
// Floors: 4 bits: 2.52 bytes a weight; int8: 3. One thread makes 8 weights, which lie in one block where VEC.

struct PlainScale {
    const float* absmax;
    DEVICE_MEMBER float of(i64 block) const { return absmax[block]; }
};

struct DoubleScale {
    const unsigned char* codes;
    const float* map;
    const float* group;
    const float* offset;
    DEVICE_MEMBER float of(i64 block) const {
        return __fadd_rn(__fmul_rn(__ldg(map + codes[block]), __ldg(group + (block >> 8))), __ldg(offset));
    }
};

template <bool VEC, class Scale>
DEVICE void nf4(const unsigned char* codes, const float* values, Scale scale, u16* out, i64 rows, int columns, i64 stride) {
    __shared__ float table[16];
    if (threadIdx.x < 16) {
        table[threadIdx.x] = values[threadIdx.x];
    }
    __syncthreads();
    const int c = ((int)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (c >= columns) {
        return;
    }
    for (i64 row = blockIdx.y; row < rows; row += gridDim.y) {
        const i64 at = row * columns + c;
        float x[8];
        if constexpr (VEC) {
            const u32 word = *reinterpret_cast<const u32*>(codes + (at >> 1));
            const float s = scale.of(at >> 6);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                x[k] = __fmul_rn(table[(word >> (8 * (k >> 1) + (k & 1 ? 0 : 4))) & 15], s);
            }
        } else {
#pragma unroll
            for (int k = 0; k < 8; k++) {
                const i64 i = at + k;
                x[k] = c + k < columns
                    ? __fmul_rn(table[(codes[i >> 1] >> (i & 1 ? 0 : 4)) & 15], scale.of(i >> 6))
                    : 0.0f;
            }
        }
        store8<VEC>(out + row * stride, c, columns, pack8(x));
    }
}

template <bool VEC>
DEVICE void int8(const signed char* codes, const float* absmax, u16* out, i64 rows, int columns, i64 stride) {
    const int c = ((int)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (c >= columns) {
        return;
    }
    for (i64 row = blockIdx.y; row < rows; row += gridDim.y) {
        const signed char* in = codes + row * columns + c;
        const float s = __fdiv_rn(__ldg(absmax + row), 127.0f);
        float x[8];
        if constexpr (VEC) {
            const uint2 word = *reinterpret_cast<const uint2*>(in);
#pragma unroll
            for (int k = 0; k < 8; k++) {
                x[k] = __fmul_rn((float)(signed char)((k < 4 ? word.x : word.y) >> (8 * (k & 3))), s);
            }
        } else {
#pragma unroll
            for (int k = 0; k < 8; k++) {
                x[k] = c + k < columns ? __fmul_rn((float)in[k], s) : 0.0f;
            }
        }
        store8<VEC>(out + row * stride, c, columns, pack8(x));
    }
}

#define NF4(NAME, VEC)                                                                                                 \
    extern "C" __global__ void NAME(                                                                                   \
        const unsigned char* codes, const float* values, const float* absmax, u16* out, i64 rows, int columns,        \
        i64 stride) {                                                                                                  \
        nf4<VEC>(codes, values, PlainScale{absmax}, out, rows, columns, stride);                                       \
    }                                                                                                                  \
    extern "C" __global__ void NAME##_double(                                                                          \
        const unsigned char* codes, const float* values, const unsigned char* scaleCodes, const float* map,            \
        const float* group, const float* offset, u16* out, i64 rows, int columns, i64 stride) {                        \
        nf4<VEC>(codes, values, DoubleScale{scaleCodes, map, group, offset}, out, rows, columns, stride);              \
    }

NF4(nf4_to_bf16, true)
NF4(nf4_to_bf16_any, false)

extern "C" __global__ void int8_to_bf16(
    const signed char* codes, const float* absmax, u16* out, i64 rows, int columns, i64 stride) {
    int8<true>(codes, absmax, out, rows, columns, stride);
}
extern "C" __global__ void int8_to_bf16_any(
    const signed char* codes, const float* absmax, u16* out, i64 rows, int columns, i64 stride) {
    int8<false>(codes, absmax, out, rows, columns, stride);
}
