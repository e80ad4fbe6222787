package org.sftnative.kernels;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Reading quantised matrices, bit for bit as plain fp32 code does it.
@Tag("gpu")
class DequantiseGpuTest {
    /// Values at which nothing but the order of codes and scales matters; those of the type are a test of `ops`.
    private static final float[] VALUES = new float[16];

    static {
        for (int code = 0; code < 16; code++) {
            VALUES[code] = (float) Math.sin(code + 1);
        }
    }

    @ParameterizedTest
    @CsvSource({"1,64,64", "3,8,8", "70,100,100", "13,37,37", "300,64,72", "129,4096,4112", "5,200,208", "70000,8,8"})
    void nf4(int rows, int columns, int stride) {
        Random random = new Random(columns);
        byte[] codes = bytes(random, (rows * columns + 1) / 2);
        int blocks = (rows * columns + 63) / 64;
        float[] absmax = floats(random, blocks);
        byte[] scaleCodes = bytes(random, blocks);
        float[] map = DynamicMap.signed();
        float[] group = floats(random, (blocks + 255) / 256);
        float[] offset = {0.7f};
        float[] scales = new float[blocks];
        for (int i = 0; i < blocks; i++) {
            scales[i] = map[scaleCodes[i] & 255] * group[i / 256] + offset[0];
        }
        try (Gpu gpu = Gpu.open()) {
            Dequantise kernel = gpu.kernels.dequantise();
            long values = gpu.fp32(VALUES).address;
            long on = gpu.int8(codes).address;
            var plain = gpu.bf16(poison(rows, stride));
            kernel.nf4(on, values, gpu.fp32(absmax).address, target(plain, rows, columns, stride), Gpu.STREAM);
            Gpu.assertSame("fp32 scales", expected(codes, absmax, rows, columns, stride), plain.shorts());
            var doubled = gpu.bf16(poison(rows, stride));
            kernel.nf4(
                    on,
                    values,
                    gpu.int8(scaleCodes).address,
                    gpu.fp32(map).address,
                    gpu.fp32(group).address,
                    gpu.fp32(offset).address,
                    target(doubled, rows, columns, stride),
                    Gpu.STREAM);
            Gpu.assertSame("8-bit scales", expected(codes, scales, rows, columns, stride), doubled.shorts());
            var odd = gpu.misaligned(poison(rows, stride));
            kernel.nf4(on, values, gpu.fp32(absmax).address, target(odd, rows, columns, stride), Gpu.STREAM);
            Gpu.assertSame("misaligned", plain.shorts(), odd.shorts());
        }
    }

    @ParameterizedTest
    @CsvSource({"1,64,64", "3,8,8", "70,100,104", "13,37,37", "129,4096,4112"})
    void int8(int rows, int columns, int stride) {
        Random random = new Random(columns);
        byte[] codes = bytes(random, rows * columns);
        float[] absmax = floats(random, rows);
        short[] expected = poison(rows, stride);
        for (int row = 0; row < rows; row++) {
            for (int c = 0; c < columns; c++) {
                expected[row * stride + c] = Bf16.round(codes[row * columns + c] * (absmax[row] / 127f));
            }
        }
        try (Gpu gpu = Gpu.open()) {
            var out = gpu.bf16(poison(rows, stride));
            gpu.kernels
                    .dequantise()
                    .int8(
                            gpu.int8(codes).address,
                            gpu.fp32(absmax).address,
                            target(out, rows, columns, stride),
                            Gpu.STREAM);
            Gpu.assertSame("int8", expected, out.shorts());
        }
    }

    private static short[] expected(byte[] codes, float[] scales, int rows, int columns, int stride) {
        short[] expected = poison(rows, stride);
        for (int row = 0; row < rows; row++) {
            for (int c = 0; c < columns; c++) {
                int i = row * columns + c;
                int code = codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
                expected[row * stride + c] = Bf16.round(VALUES[code] * scales[i / 64]);
            }
        }
        return expected;
    }

    private static Dequantise.Target target(Gpu.Buffer to, int rows, int columns, int stride) {
        return new Dequantise.Target(to.address, rows, columns, stride);
    }

    /// What lies between the rows stays.
    private static short[] poison(int rows, int stride) {
        short[] x = new short[rows * stride];
        Arrays.fill(x, (short) 0x4321);
        return x;
    }

    private static byte[] bytes(Random random, int n) {
        byte[] x = new byte[n];
        random.nextBytes(x);
        return x;
    }

    private static float[] floats(Random random, int n) {
        float[] x = new float[n];
        for (int i = 0; i < n; i++) {
            x[i] = (float) random.nextGaussian();
        }
        return x;
    }
}
