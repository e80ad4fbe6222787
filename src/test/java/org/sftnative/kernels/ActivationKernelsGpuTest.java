package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// RoPE, SwiGLU, cross-entropy, embedding and helpers against fp64. Bounds as in [NormKernelsGpuTest].
@Tag("gpu")
class ActivationKernelsGpuTest {
    private static final double TWO_ROUNDINGS = 2.02 / 256;

    @ParameterizedTest
    @CsvSource({
        "1,4,4,32,false",
        "7,9,3,64,true",
        "13,32,8,128,false",
        "5,32,4,64,true",
        "3,8,1,256,true",
        "11,5,5,80,true",
        "3,2,1,36,true",
        "17,28,4,128,true",
        "2,4,2,96,false"
    })
    void ropeRotatesQueriesAndKeysAndBack(int tokens, int h, int k, int d, boolean withBias) {
        Random random = new Random(d);
        int all = h + 2 * k;
        int half = d / 2;
        int maxPos = 50;
        short[] x = Gpu.normals(random, tokens * all * d, 1);
        short[] bias = withBias ? Gpu.normals(random, all * d, 1) : new short[all * d];
        int[] positions = random.ints(tokens, 0, maxPos).toArray();
        float[] cos = new float[maxPos * half];
        float[] sin = new float[maxPos * half];
        for (int p = 0; p < maxPos; p++) {
            for (int j = 0; j < half; j++) {
                double angle = p * Math.pow(10_000, -2.0 * j / d);
                cos[p * half + j] = (float) Math.cos(angle);
                sin[p * half + j] = (float) Math.sin(angle);
            }
        }
        double[] expected = new double[x.length];
        short[] biased = new short[x.length];
        for (int i = 0; i < x.length; i++) {
            biased[i] = withBias ? Bf16.round(Bf16.toFloat(x[i]) + Bf16.toFloat(bias[i % (all * d)])) : x[i];
            expected[i] = Bf16.toFloat(biased[i]);
        }
        for (int t = 0; t < tokens; t++) {
            for (int head = 0; head < h + k; head++) {
                for (int j = 0; j < half; j++) {
                    int i = (t * all + head) * d + j;
                    double c = cos[positions[t] * half + j];
                    double s = sin[positions[t] * half + j];
                    double a = expected[i];
                    double b = expected[i + half];
                    expected[i] = a * c - b * s;
                    expected[i + half] = b * c + a * s;
                }
            }
        }
        try (Gpu gpu = Gpu.open()) {
            Rope.Angles angles =
                    new Rope.Angles(gpu.fp32(cos).address, gpu.fp32(sin).address, gpu.int32(positions).address);
            Rope.Heads heads = new Rope.Heads(h, k, d);
            var qkv = gpu.bf16(x);
            Rope rope = gpu.kernels.rope();
            rope.forward(qkv.address, withBias ? gpu.bf16(bias).address : 0, angles, heads, tokens, Gpu.STREAM);
            short[] rotated = qkv.shorts();
            Gpu.assertNear("rotated", expected, Gpu.doubles(rotated), 2e-3, 5e-3);
            // from separate gradients into the fused one, and in place: the same bits
            var q = gpu.bf16(part(rotated, tokens, all * d, 0, h * d));
            var ks = gpu.bf16(part(rotated, tokens, all * d, h * d, k * d));
            var vs = gpu.bf16(part(rotated, tokens, all * d, (h + k) * d, k * d));
            var fused = gpu.bf16(x.length);
            rope.backward(
                    q.address,
                    ks.address,
                    vs.address,
                    (long) h * d,
                    (long) k * d,
                    fused.address,
                    angles,
                    heads,
                    tokens,
                    Gpu.STREAM);
            rope.backward(qkv.address, angles, heads, tokens, Gpu.STREAM);
            Gpu.assertSame("fused", qkv.shorts(), fused.shorts());
            Gpu.assertNear("rotated back", Gpu.doubles(biased), Gpu.doubles(qkv.shorts()), 4e-3, 1e-2);
            // values were never touched
            short[] values = part(qkv.shorts(), tokens, all * d, (h + k) * d, k * d);
            Gpu.assertSame("values", part(biased, tokens, all * d, (h + k) * d, k * d), values);
        }
    }

    private static short[] part(short[] rows, int count, int stride, int from, int length) {
        short[] part = new short[count * length];
        for (int t = 0; t < count; t++) {
            System.arraycopy(rows, t * stride + from, part, t * length, length);
        }
        return part;
    }

    @ParameterizedTest
    @CsvSource({"1,8", "7,1536", "101,11008", "13,5632", "5,100", "3,37"})
    void swigluAndItsGradientEqualFp64(int tokens, int ffn) {
        Random random = new Random(ffn);
        short[] gateUp = Gpu.normals(random, tokens * 2 * ffn, 3);
        gateUp[0] = Bf16.round(-100);
        short[] dAct = Gpu.normals(random, tokens * ffn, 1);
        double[] act = new double[tokens * ffn];
        double[] dGateUp = new double[tokens * 2 * ffn];
        for (int t = 0; t < tokens; t++) {
            for (int f = 0; f < ffn; f++) {
                double g = Bf16.toFloat(gateUp[t * 2 * ffn + f]);
                double u = Bf16.toFloat(gateUp[t * 2 * ffn + ffn + f]);
                double d = Bf16.toFloat(dAct[t * ffn + f]);
                double s = 1 / (1 + Math.exp(-g));
                act[t * ffn + f] = g * s * u;
                dGateUp[t * 2 * ffn + f] = d * u * s * (1 + g * (1 - s));
                dGateUp[t * 2 * ffn + ffn + f] = d * g * s;
            }
        }
        try (Gpu gpu = Gpu.open()) {
            SwiGlu swiGlu = gpu.kernels.swiGlu();
            var in = gpu.bf16(gateUp);
            var out = gpu.bf16(tokens * ffn);
            swiGlu.forward(in.address, out.address, tokens, ffn, Gpu.STREAM);
            Gpu.assertNear("act", act, Gpu.doubles(out.shorts()), 3e-3, TWO_ROUNDINGS);
            var d = gpu.bf16(dAct);
            swiGlu.backward(d.address, in.address, d.address, tokens, ffn, Gpu.STREAM);
            Gpu.assertSame("act again, over dAct", out.shorts(), d.shorts());
            Gpu.assertNear("dGateUp", dGateUp, Gpu.doubles(in.shorts()), 3e-3, TWO_ROUNDINGS);
            var plain = gpu.bf16(gateUp);
            swiGlu.backward(gpu.bf16(dAct).address, plain.address, 0, tokens, ffn, Gpu.STREAM);
            Gpu.assertSame("without act", in.shorts(), plain.shorts());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "5,32000,32000,false",
        "3,32001,32008,true",
        "4,128256,128256,false",
        "2,152064,152064,true",
        "3,50257,50257,false",
        "1,7,7,false",
        "2,151,160,true",
        "7,32768,32768,false",
        "2,49155,49160,false",
        "2,81923,81928,false",
        "2,262141,262144,false"
    })
    void crossEntropyEqualsFp64(int rows, int vocabulary, int ld, boolean wide) {
        Random random = new Random(vocabulary);
        short[] logits = Gpu.normals(random, rows * ld, 4);
        int[] targets = random.ints(rows, 0, vocabulary).toArray();
        targets[rows - 1] = vocabulary - 1;
        if (rows > 2) {
            targets[1] = -100;
        }
        float scale = 1 / 512f;
        double[] loss = new double[rows];
        double[] gradient = new double[rows * ld];
        for (int r = 0; r < rows; r++) {
            if (targets[r] < 0) {
                continue;
            }
            double sum = 0;
            for (int v = 0; v < vocabulary; v++) {
                sum += Math.exp(Bf16.toFloat(logits[r * ld + v]));
            }
            loss[r] = Math.log(sum) - Bf16.toFloat(logits[r * ld + targets[r]]);
            for (int v = 0; v < vocabulary; v++) {
                double p = Math.exp(Bf16.toFloat(logits[r * ld + v])) / sum;
                gradient[r * ld + v] = (p - (v == targets[r] ? 1 : 0)) * scale;
            }
        }
        try (Gpu gpu = Gpu.open()) {
            var z = gpu.bf16(logits);
            var losses = gpu.fp32(rows);
            var ids = wide ? gpu.int64(Arrays.stream(targets).asLongStream().toArray()) : gpu.int32(targets);
            gpu.kernels
                    .crossEntropy()
                    .forwardBackward(
                            z.address, ids.address, wide, losses.address, rows, vocabulary, ld, scale, Gpu.STREAM);
            Gpu.assertNear("loss", loss, Gpu.doubles(losses.floats()), 1e-6, 1e-5);
            Gpu.assertNear("gradient", gradient, Gpu.doubles(z.shorts()), 3e-3, TWO_ROUNDINGS);
            // small probabilities keep their relative precision, which the norm does not see
            short[] actual = z.shorts();
            for (int i = 0; i < actual.length; i++) {
                assertEquals(gradient[i], Bf16.toFloat(actual[i]), 4e-3 * Math.abs(gradient[i]) + 1e-37);
            }
        }
    }

    @Test
    void aTargetOutsideTheVocabularyMakesTheLossNaN() {
        try (Gpu gpu = Gpu.open()) {
            var losses = gpu.fp32(1);
            var z = gpu.bf16(Gpu.normals(new Random(1), 64, 1));
            gpu.kernels
                    .crossEntropy()
                    .forwardBackward(
                            z.address,
                            gpu.int32(new int[] {64}).address,
                            false,
                            losses.address,
                            1,
                            64,
                            64,
                            1,
                            Gpu.STREAM);
            assertTrue(Float.isNaN(losses.floats()[0]));
        }
    }

    @ParameterizedTest
    @CsvSource({"1,64,10", "1009,576,50", "4001,4096,3000", "100,37,7"})
    void embeddingGathersAndAddsUpItsGradient(int tokens, int width, int vocabulary) {
        Random random = new Random(width);
        // ids crowd near 0, so that some occur often and some never
        int[] ids = random.doubles(tokens)
                .mapToInt(u -> (int) (u * u * u * vocabulary))
                .toArray();
        short[] weight = Gpu.normals(random, vocabulary * width, 1);
        short[] dx = Gpu.normals(random, tokens * width, 1);
        EmbeddingPlan plan = EmbeddingPlan.of(ids, vocabulary);
        double[] expected = new double[vocabulary * width];
        short[] rows = new short[tokens * width];
        for (int t = 0; t < tokens; t++) {
            System.arraycopy(weight, ids[t] * width, rows, t * width, width);
            for (int c = 0; c < width; c++) {
                expected[ids[t] * width + c] += Bf16.toFloat(dx[t * width + c]);
            }
        }
        try (Gpu gpu = Gpu.open()) {
            Embedding embedding = gpu.kernels.embedding();
            var out = gpu.bf16(tokens * width);
            embedding.forward(gpu.bf16(weight).address, gpu.int32(ids).address, out.address, tokens, width, Gpu.STREAM);
            Gpu.assertSame("rows", rows, out.shorts());
            Embedding.Plan onDevice = new Embedding.Plan(
                    gpu.int32(plan.order()).address,
                    gpu.int32(plan.starts()).address,
                    gpu.int32(plan.unique()).address,
                    plan.unique().length,
                    plan.frequent());
            var d = gpu.bf16(dx);
            var gradient = gpu.bf16(new short[vocabulary * width]);
            embedding.backward(d.address, onDevice, gradient.address, width, GradientType.BF16, false, Gpu.STREAM);
            Gpu.assertNear("bf16", expected, Gpu.doubles(gradient.shorts()), 2e-3, 4e-3);
            var fp32 = gpu.fp32(new float[vocabulary * width]);
            embedding.backward(d.address, onDevice, fp32.address, width, GradientType.FP32, true, Gpu.STREAM);
            embedding.backward(d.address, onDevice, fp32.address, width, GradientType.FP32, true, Gpu.STREAM);
            for (int i = 0; i < expected.length; i++) {
                expected[i] *= 2;
            }
            Gpu.assertNear("fp32, twice", expected, Gpu.doubles(fp32.floats()), 1e-6, 1e-5);
        }
    }

    @ParameterizedTest
    @CsvSource({"1", "8", "1003", "4096"})
    void helpersDoWhatTheirNamesSay(int n) {
        Random random = new Random(n);
        short[] x = Gpu.normals(random, n, 1);
        short[] y = Gpu.normals(random, n, 1);
        short[] sum = new short[n];
        for (int i = 0; i < n; i++) {
            sum[i] = Bf16.round(Bf16.toFloat(x[i]) + Bf16.toFloat(y[i]));
        }
        try (Gpu gpu = Gpu.open()) {
            Elementwise elementwise = gpu.kernels.elementwise();
            var a = gpu.bf16(x);
            var b = gpu.bf16(y);
            var off = gpu.misaligned(x);
            var fp32 = gpu.fp32(n);
            var back = gpu.bf16(n);
            elementwise.add(a.address, b.address, back.address, n, Gpu.STREAM);
            Gpu.assertSame("add", sum, back.shorts());
            elementwise.add(off.address, b.address, off.address, n, Gpu.STREAM);
            Gpu.assertSame("add off alignment, in place", sum, off.shorts());
            elementwise.toFloat(a.address, fp32.address, n, Gpu.STREAM);
            elementwise.toBf16(fp32.address, back.address, n, Gpu.STREAM);
            Gpu.assertSame("to fp32 and back", x, back.shorts());
            elementwise.zero(back.address, 2L * n, Gpu.STREAM);
            Gpu.assertSame("zero", new short[n], back.shorts());
        }
    }

    @Test
    void roundingToBf16IsTheHostsRounding() {
        Random random = new Random(11);
        float[] x = new float[1 << 16];
        short[] expected = new short[x.length];
        for (int i = 0; i < x.length; i++) {
            x[i] = Float.intBitsToFloat(i % 3 == 0 ? random.nextInt() & 0xffff0000 | 0x8000 : random.nextInt());
            expected[i] = Bf16.round(x[i]);
        }
        try (Gpu gpu = Gpu.open()) {
            var out = gpu.bf16(x.length);
            gpu.kernels.elementwise().toBf16(gpu.fp32(x).address, out.address, x.length, Gpu.STREAM);
            Gpu.assertSame("rounded", expected, out.shorts());
        }
    }
}
