package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// RMSNorm, column sums and the gradient norm against fp64. bf16 keeps 8 bits: a rounding is off by at most 2^-8 of a
/// value, and about 1.7e-3 in norm.
@Tag("gpu")
class NormKernelsGpuTest {
    private static final double TWO_ROUNDINGS = 2.02 / 256;
    private static final double EPS = 1e-5;

    @ParameterizedTest
    @CsvSource({
        "1,64", "7,576", "13,2048", "31,4096", "3,5120", "5,8192", "2,16384", "17,1000", "11,37", "1,4095", "3,9001"
    })
    void rmsNormAndItsGradientEqualFp64(int tokens, int width) {
        Random random = new Random(tokens + width);
        int n = tokens * width;
        short[] x = Gpu.normals(random, n, 2);
        short[] delta = Gpu.normals(random, n, 1);
        short[] w = Gpu.normals(random, width, 1);
        short[] dy = Gpu.normals(random, n, 1);
        short[] past = Gpu.normals(random, n, 0.5);
        try (Gpu gpu = Gpu.open()) {
            RmsNorm norm = gpu.kernels.rmsNorm();
            var residual = gpu.bf16(n);
            var y = gpu.bf16(n);
            var again = gpu.bf16(n);
            var rstd = gpu.fp32(tokens);
            var weight = gpu.bf16(w);
            norm.forward(
                    gpu.bf16(x).address,
                    gpu.bf16(delta).address,
                    weight.address,
                    0,
                    residual.address,
                    y.address,
                    rstd.address,
                    tokens,
                    width,
                    (float) EPS,
                    Gpu.STREAM);
            norm.again(residual.address, weight.address, rstd.address, again.address, tokens, width, Gpu.STREAM);
            short[] sum = new short[n];
            double[] expectedY = new double[n];
            double[] expectedRstd = new double[tokens];
            double[] expectedDx = new double[n];
            for (int t = 0; t < tokens; t++) {
                double squares = 0;
                for (int c = 0; c < width; c++) {
                    int i = t * width + c;
                    sum[i] = Bf16.round(Bf16.toFloat(x[i]) + Bf16.toFloat(delta[i]));
                    squares += Math.pow(Bf16.toFloat(sum[i]), 2);
                }
                double r = 1 / Math.sqrt(squares / width + EPS);
                expectedRstd[t] = r;
                double dot = 0;
                for (int c = 0; c < width; c++) {
                    int i = t * width + c;
                    double hat = Bf16.toFloat(sum[i]) * r;
                    expectedY[i] = hat * Bf16.toFloat(w[c]);
                    dot += Bf16.toFloat(dy[i]) * Bf16.toFloat(w[c]) * hat / width;
                }
                for (int c = 0; c < width; c++) {
                    int i = t * width + c;
                    double dn = Bf16.toFloat(dy[i]) * Bf16.toFloat(w[c]);
                    expectedDx[i] = Bf16.toFloat(past[i]) + r * (dn - Bf16.toFloat(sum[i]) * r * dot);
                }
            }
            Gpu.assertSame("residual", sum, residual.shorts());
            Gpu.assertNear("rstd", expectedRstd, Gpu.doubles(rstd.floats()), 1e-6, 1e-5);
            Gpu.assertNear("y", expectedY, Gpu.doubles(y.shorts()), 3e-3, TWO_ROUNDINGS);
            // with the kernel's own rstd every rounding is known: the bits are those of transformers' order
            short[] exactY = new short[n];
            double[] exactDw = new double[width];
            float[] rstds = rstd.floats();
            for (int i = 0; i < n; i++) {
                short normal = Bf16.round(Bf16.toFloat(sum[i]) * rstds[i / width]);
                exactY[i] = Bf16.round(Bf16.toFloat(normal) * Bf16.toFloat(w[i % width]));
                exactDw[i % width] += (double) Bf16.toFloat(dy[i]) * Bf16.toFloat(normal);
            }
            Gpu.assertSame("y", exactY, y.shorts());
            Gpu.assertSame("y again", y.shorts(), again.shorts());

            var workspace = gpu.bytes(norm.workspaceBytes(width));
            var dResidual = gpu.bf16(past);
            var dw = gpu.fp32(width);
            var dwBf16 = gpu.bf16(new short[width]);
            var dx = gpu.bf16(n);
            var dyBuffer = gpu.bf16(dy);
            norm.backward(
                    dyBuffer.address,
                    residual.address,
                    weight.address,
                    rstd.address,
                    dResidual.address,
                    0,
                    dx.address,
                    dw.address,
                    GradientType.FP32,
                    false,
                    workspace.address,
                    tokens,
                    width,
                    Gpu.STREAM);
            Gpu.assertNear("dx", expectedDx, Gpu.doubles(dx.shorts()), 3e-3, TWO_ROUNDINGS);
            Gpu.assertNear("dw", exactDw, Gpu.doubles(dw.floats()), 1e-6, 1e-5);
            float[] first = dw.floats();
            // in place, accumulating, and the same bits
            norm.backward(
                    dyBuffer.address,
                    residual.address,
                    weight.address,
                    rstd.address,
                    dResidual.address,
                    0,
                    dResidual.address,
                    dw.address,
                    GradientType.FP32,
                    true,
                    workspace.address,
                    tokens,
                    width,
                    Gpu.STREAM);
            Gpu.assertSame("dx in place", dx.shorts(), dResidual.shorts());
            float[] twice = dw.floats();
            for (int c = 0; c < width; c++) {
                assertEquals(first[c] + first[c], twice[c], "deterministic, and beta 1 adds");
            }
            norm.backward(
                    dyBuffer.address,
                    residual.address,
                    weight.address,
                    rstd.address,
                    0,
                    0,
                    dx.address,
                    dwBf16.address,
                    GradientType.BF16,
                    true,
                    workspace.address,
                    tokens,
                    width,
                    Gpu.STREAM);
            short[] rounded = new short[width];
            for (int c = 0; c < width; c++) {
                rounded[c] = Bf16.round(first[c]);
            }
            Gpu.assertSame("dw in bf16", rounded, dwBf16.shorts());
            for (int i = 0; i < n; i++) {
                expectedDx[i] -= Bf16.toFloat(past[i]);
            }
            Gpu.assertNear("dx alone", expectedDx, Gpu.doubles(dx.shorts()), 3e-3, TWO_ROUNDINGS);
        }
    }

    @ParameterizedTest
    @CsvSource({"512", "100"})
    void chosenRowsAreGatheredAndScattered(int width) {
        Random random = new Random(5);
        int[] rows = {11, 3, 4};
        short[] x = Gpu.normals(random, 12 * width, 1);
        short[] w = Gpu.normals(random, width, 1);
        try (Gpu gpu = Gpu.open()) {
            RmsNorm norm = gpu.kernels.rmsNorm();
            var all = gpu.bf16(12 * width);
            var some = gpu.bf16(3 * width);
            var kept = gpu.bf16(3 * width);
            var rstd = gpu.fp32(12);
            var weight = gpu.bf16(w);
            var xs = gpu.bf16(x);
            norm.forward(xs.address, 0, weight.address, 0, 0, all.address, rstd.address, 12, width, 1e-5f, Gpu.STREAM);
            norm.forward(
                    xs.address,
                    0,
                    weight.address,
                    gpu.int32(rows).address,
                    kept.address,
                    some.address,
                    rstd.address,
                    3,
                    width,
                    1e-5f,
                    Gpu.STREAM);
            short[] whole = all.shorts();
            short[] chosen = some.shorts();
            short[] residual = kept.shorts();
            for (int r = 0; r < rows.length; r++) {
                for (int c = 0; c < width; c++) {
                    assertEquals(whole[rows[r] * width + c], chosen[r * width + c]);
                    assertEquals(x[rows[r] * width + c], residual[r * width + c]);
                }
            }
        }
    }

    @Test
    void gradientsOfChosenRowsLandInTheirRows() {
        int width = 576;
        Random random = new Random(6);
        int[] rows = {9, 0, 4};
        short[] dy = Gpu.normals(random, 3 * width, 1);
        short[] x = Gpu.normals(random, 3 * width, 1);
        try (Gpu gpu = Gpu.open()) {
            RmsNorm norm = gpu.kernels.rmsNorm();
            var weight = gpu.bf16(Gpu.normals(random, width, 1));
            var rstd = gpu.fp32(new float[] {1, 0.5f, 2});
            var dense = gpu.bf16(3 * width);
            var scattered = gpu.bf16(new short[10 * width]);
            var workspace = gpu.bytes(norm.workspaceBytes(width));
            var d = gpu.bf16(dy);
            var r = gpu.bf16(x);
            norm.backward(
                    d.address,
                    r.address,
                    weight.address,
                    rstd.address,
                    0,
                    0,
                    dense.address,
                    0,
                    GradientType.BF16,
                    false,
                    workspace.address,
                    3,
                    width,
                    Gpu.STREAM);
            norm.backward(
                    d.address,
                    r.address,
                    weight.address,
                    rstd.address,
                    0,
                    gpu.int32(rows).address,
                    scattered.address,
                    0,
                    GradientType.BF16,
                    false,
                    workspace.address,
                    3,
                    width,
                    Gpu.STREAM);
            short[] expected = new short[10 * width];
            for (int i = 0; i < rows.length; i++) {
                System.arraycopy(dense.shorts(), i * width, expected, rows[i] * width, width);
            }
            Gpu.assertSame("scattered", expected, scattered.shorts());
        }
    }

    @ParameterizedTest
    @CsvSource({"1,8", "1009,1152", "4099,6144", "37,333"})
    void columnSumsEqualFp64(int tokens, int n) {
        short[] x = Gpu.normals(new Random(7), tokens * n, 1);
        try (Gpu gpu = Gpu.open()) {
            Columns columns = gpu.kernels.columns();
            var out = gpu.fp32(n);
            var workspace = gpu.bytes(columns.workspaceBytes(n));
            var xs = gpu.bf16(x);
            columns.sum(xs.address, out.address, tokens, n, GradientType.FP32, false, workspace.address, Gpu.STREAM);
            double[] expected = new double[n];
            for (int i = 0; i < x.length; i++) {
                expected[i % n] += Bf16.toFloat(x[i]);
            }
            float[] first = out.floats();
            Gpu.assertNear("sums", expected, Gpu.doubles(first), 1e-6, 1e-5);
            columns.sum(xs.address, out.address, tokens, n, GradientType.FP32, false, workspace.address, Gpu.STREAM);
            assertArrayEquals(first, out.floats());
        }
    }

    @ParameterizedTest
    @CsvSource({"1", "8", "4097", "10000019"})
    void gradientNormEqualsFp64AndIsTheSameTwice(int n) {
        short[] x = Gpu.normals(new Random(8), n, 1e-3);
        double squares = 0;
        for (short value : x) {
            squares += Math.pow(Bf16.toFloat(value), 2);
        }
        try (Gpu gpu = Gpu.open()) {
            GradientNorm norm = gpu.kernels.gradientNorm();
            var sumsq = gpu.bytes(8);
            var clip = gpu.fp32(4);
            var workspace = gpu.bytes(norm.workspaceBytes());
            var xs = gpu.bf16(x);
            norm.squares(xs.address, GradientType.BF16, n, sumsq.address, false, workspace.address, Gpu.STREAM);
            double first = sumsq.doubles()[0];
            assertEquals(squares, first, 1e-6 * squares);
            norm.squares(xs.address, GradientType.BF16, n, sumsq.address, false, workspace.address, Gpu.STREAM);
            assertEquals(first, sumsq.doubles()[0]);
            var floats = gpu.fp32(n);
            gpu.kernels.elementwise().toFloat(xs.address, floats.address, n, Gpu.STREAM);
            norm.squares(floats.address, GradientType.FP32, n, sumsq.address, true, workspace.address, Gpu.STREAM);
            assertEquals(2 * squares, sumsq.doubles()[0], 2e-6 * squares);
            double expected = Math.sqrt(2 * squares);
            norm.clip(sumsq.address, (float) (expected / 3), clip.address, Gpu.STREAM);
            float[] result = clip.floats();
            assertEquals(expected, result[0], 1e-5 * expected);
            assertEquals(expected / 3 / (expected + 1e-6), result[1], 1e-5);
            assertEquals(1, result[2]);
            norm.clip(sumsq.address, (float) (expected * 3), clip.address, Gpu.STREAM);
            assertEquals(1, clip.floats()[1], "a norm below the bound is left alone");
            norm.clip(sumsq.address, 0, clip.address, Gpu.STREAM);
            assertEquals(1, clip.floats()[1], "no bound");
        }
    }

    @Test
    void oneNonFiniteGradientAnywhereIsSeen() {
        for (short bad : new short[] {0x7f80, (short) 0xff80, 0x7fc0}) {
            short[] x = Gpu.normals(new Random(9), 100_003, 1);
            x[100_002] = bad;
            try (Gpu gpu = Gpu.open()) {
                GradientNorm norm = gpu.kernels.gradientNorm();
                var sumsq = gpu.bytes(8);
                var clip = gpu.fp32(4);
                norm.squares(
                        gpu.bf16(x).address,
                        GradientType.BF16,
                        x.length,
                        sumsq.address,
                        false,
                        gpu.bytes(norm.workspaceBytes()).address,
                        Gpu.STREAM);
                norm.clip(sumsq.address, 1, clip.address, Gpu.STREAM);
                assertEquals(0, clip.floats()[2]);
            }
        }
    }

    @Test
    void lossesAreSummedInFp64() {
        float[] x = new float[70_001];
        double expected = 0;
        Random random = new Random(10);
        for (int i = 0; i < x.length; i++) {
            x[i] = random.nextFloat() * 12;
            expected += x[i];
        }
        try (Gpu gpu = Gpu.open()) {
            var out = gpu.bytes(8);
            var xs = gpu.fp32(x);
            gpu.kernels.gradientNorm().sum(xs.address, x.length, out.address, false, Gpu.STREAM);
            gpu.kernels.gradientNorm().sum(xs.address, x.length, out.address, true, Gpu.STREAM);
            assertEquals(2 * expected, out.doubles()[0], 1e-12 * expected);
        }
    }
}
