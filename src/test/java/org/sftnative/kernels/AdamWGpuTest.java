package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// The optimizer against its reference in Java, bit for bit, in every mode.
@Tag("gpu")
class AdamWGpuTest {
    private static final int STEPS = 5;
    private static final long FIRST = 1L << 33;

    @ParameterizedTest
    @EnumSource(AdamW.Weights.class)
    void everyModeEqualsItsReferenceBitForBit(AdamW.Weights weights) {
        for (AdamW.Moments moments : AdamW.Moments.values()) {
            for (GradientType gradients : GradientType.values()) {
                for (int n : new int[] {1, 777, 8192, 70_003}) {
                    compare(weights, moments, gradients, n);
                }
            }
        }
    }

    private static void compare(AdamW.Weights weights, AdamW.Moments moments, GradientType type, int n) {
        String what = weights + " " + moments + " " + type + " " + n;
        Random random = new Random(n);
        float[] masters = new float[n];
        for (int i = 0; i < n; i++) {
            masters[i] = (float) (random.nextGaussian() * 0.02);
        }
        AdamWReference reference = new AdamWReference(weights, moments, masters);
        try (Gpu gpu = Gpu.open()) {
            State state = new State(gpu, reference, n);
            AdamW kernel = gpu.kernels.adamW(weights, moments, type);
            var clip = gpu.fp32(new float[] {2, 0.3f, 1, 0});
            for (int t = 1; t <= STEPS; t++) {
                float[] gradient = new float[n];
                for (int i = 0; i < n; i++) {
                    // magnitudes over many decades, zeros among them
                    double g = random.nextGaussian() * Math.pow(10, -6 * random.nextDouble());
                    gradient[i] = random.nextInt(16) == 0 ? 0 : Bf16.toFloat(Bf16.round((float) g));
                }
                long gradients =
                        type == GradientType.FP32 ? gpu.fp32(gradient).address : gpu.bf16(bits(gradient)).address;
                long decayed = FIRST + n / 16 * 8;
                AdamW.Step step = new AdamW.Step(1e-3, 0.9, 0.999, 1e-8, 0.1, t, 0x123456789abcdefL);
                kernel.update(state.buffers(gradients, decayed), step, clip.address, Gpu.STREAM);
                reference.update(gradient, 0.3f, step, FIRST, decayed, 3);
            }
            state.assertEqual(what, reference);
        }
    }

    private static short[] bits(float[] x) {
        short[] bits = new short[x.length];
        for (int i = 0; i < x.length; i++) {
            bits[i] = Bf16.round(x[i]);
        }
        return bits;
    }

    /// The device's buffers of a reference, poisoned where they are not zeros or weights.
    private record State(
            int n,
            AdamW.Weights weights,
            AdamW.Moments moments,
            Gpu.Buffer w,
            Gpu.Buffer low,
            Gpu.Buffer m,
            Gpu.Buffer v,
            Gpu.Buffer mScale,
            Gpu.Buffer vScale) {
        State(Gpu gpu, AdamWReference r, int n) {
            this(
                    n,
                    r.weights,
                    r.moments,
                    r.weights == AdamW.Weights.FP32 ? gpu.int32(r.w) : gpu.bf16(narrow(r.w)),
                    gpu.bf16(r.low),
                    gpu.bytes((long) n * bytes(r.moments)).with(MemorySegment.ofArray(new byte[n * bytes(r.moments)])),
                    gpu.bytes((long) n * bytes(r.moments)).with(MemorySegment.ofArray(new byte[n * bytes(r.moments)])),
                    gpu.fp32(new float[r.mScale.length]),
                    gpu.fp32(new float[r.vScale.length]));
        }

        private static int bytes(AdamW.Moments moments) {
            return switch (moments) {
                case FP32 -> 4;
                case BF16 -> 2;
                case BLOCK8 -> 1;
            };
        }

        AdamW.Buffers buffers(long gradients, long decayed) {
            return new AdamW.Buffers(
                    w.address,
                    low.address,
                    gradients,
                    m.address,
                    v.address,
                    mScale.address,
                    vScale.address,
                    n,
                    FIRST,
                    decayed,
                    3);
        }

        void assertEqual(String what, AdamWReference r) {
            if (weights == AdamW.Weights.FP32) {
                assertBits(what + " w", r.w, w, 4);
            } else {
                assertBits(what + " w", r.w, w, 2);
            }
            Gpu.assertSame(what + " low", r.low, low.shorts());
            assertBits(what + " m", r.m, m, bytes(moments));
            assertBits(what + " v", r.v, v, bytes(moments));
            if (moments == AdamW.Moments.BLOCK8) {
                assertArrayEquals(r.mScale, mScale.floats(), what);
                assertArrayEquals(r.vScale, vScale.floats(), what);
            }
        }

        private static void assertBits(String what, int[] expected, Gpu.Buffer buffer, int width) {
            byte[] actual = buffer.bytes();
            for (int i = 0; i < expected.length; i++) {
                int bits = 0;
                for (int b = 0; b < width; b++) {
                    bits |= (actual[i * width + b] & 0xff) << (8 * b);
                }
                int at = i;
                int got = bits;
                assertEquals(
                        expected[i],
                        got,
                        () -> what + " at " + at + ": " + Integer.toHexString(got) + ", reference "
                                + Integer.toHexString(expected[at]));
            }
        }

        private static short[] narrow(int[] bits) {
            short[] narrow = new short[bits.length];
            for (int i = 0; i < bits.length; i++) {
                narrow[i] = (short) bits[i];
            }
            return narrow;
        }
    }

    @Test
    void aFalseFiniteFlagChangesNothing() {
        int n = 1000;
        float[] masters = new float[n];
        java.util.Arrays.fill(masters, 0.1f);
        float[] gradient = new float[n];
        java.util.Arrays.fill(gradient, Float.NaN);
        for (AdamW.Moments moments : AdamW.Moments.values()) {
            AdamWReference untouched = new AdamWReference(AdamW.Weights.SPLIT, moments, masters);
            try (Gpu gpu = Gpu.open()) {
                State state = new State(gpu, untouched, n);
                gpu.kernels
                        .adamW(AdamW.Weights.SPLIT, moments, GradientType.FP32)
                        .update(
                                state.buffers(gpu.fp32(gradient).address, FIRST + n),
                                new AdamW.Step(1e-3, 0.9, 0.999, 1e-8, 0.1, 1, 1),
                                gpu.fp32(new float[] {Float.NaN, Float.NaN, 0, 0}).address,
                                Gpu.STREAM);
                state.assertEqual(moments.toString(), untouched);
            }
        }
    }
}
