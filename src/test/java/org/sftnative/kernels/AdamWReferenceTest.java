package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

/// What each way of keeping weights and moments promises, shown on the reference that the kernel equals bit for bit.
class AdamWReferenceTest {
    private static AdamW.Step step(int number, double learningRate) {
        return new AdamW.Step(learningRate, 0.9, 0.999, 1e-8, 0.01, number, 42);
    }

    private static float[] normals(Random random, int n, double scale) {
        float[] x = new float[n];
        for (int i = 0; i < n; i++) {
            x[i] = (float) (random.nextGaussian() * scale);
        }
        return x;
    }

    /// torch 2.13: torch.optim.AdamW in float64 on the same gradients, lr 1e-2, weight_decay 0.1. Its own fp32 is off
    /// by
    /// up to 4.7e-7 (absolute, at 3) from it; the bound is two units of fp32 a step.
    @Test
    void tenStepsEqualTorchs() {
        double[] torch = {
            0.4981784151858081,
            -0.2598976101186183,
            1.4555545262469942,
            -1.9464872030281302,
            -0.006137416404726293,
            2.972277178740623
        };
        AdamWReference state = new AdamWReference(
                AdamW.Weights.FP32, AdamW.Moments.FP32, new float[] {0.5f, -0.25f, 1.5f, -2f, 0.01f, 3f});
        for (int t = 1; t <= 10; t++) {
            float[] gradient = new float[6];
            for (int i = 0; i < 6; i++) {
                gradient[i] = ((i * 7 + t * 3) % 11 - 5) / 4f;
            }
            state.update(gradient, 1, new AdamW.Step(1e-2, 0.9, 0.999, 1e-8, 0.1, t, 0), 0, 8, 0);
        }
        for (int i = 0; i < 6; i++) {
            assertEquals(torch[i], state.weight(i), 20 * 1.2e-7 * Math.max(0.05, Math.abs(torch[i])), "weight " + i);
        }
    }

    @Test
    void splitWeightsFollowFp32WeightsBitForBit() {
        Random random = new Random(1);
        float[] start = normals(random, 1000, 0.02);
        AdamWReference split = new AdamWReference(AdamW.Weights.SPLIT, AdamW.Moments.FP32, start);
        AdamWReference fp32 = new AdamWReference(AdamW.Weights.FP32, AdamW.Moments.FP32, start);
        for (int t = 1; t <= 100; t++) {
            float[] gradient = normals(random, 1000, 1e-3);
            split.update(gradient, 0.7f, step(t, 2e-5), 0, 512, 0);
            fp32.update(gradient, 0.7f, step(t, 2e-5), 0, 512, 0);
        }
        for (int i = 0; i < start.length; i++) {
            assertEquals(Float.floatToRawIntBits(fp32.weight(i)), Float.floatToRawIntBits(split.weight(i)));
        }
    }

    @Test
    void smallUpdatesMoveSplitAndStochasticWeightsAndNotPlainOnes() {
        int n = 4096;
        float[] start = new float[n];
        java.util.Arrays.fill(start, 1f);
        float[] gradient = new float[n];
        java.util.Arrays.fill(gradient, 1f);
        for (AdamW.Weights weights : AdamW.Weights.values()) {
            AdamWReference state = new AdamWReference(weights, AdamW.Moments.FP32, start);
            for (int t = 1; t <= 100; t++) {
                state.update(gradient, 1, step(t, 1e-6), 0, 0, 0);
            }
            double mean = 0;
            for (int i = 0; i < n; i++) {
                mean += state.weight(i) / n;
            }
            double moved = 1 - mean;
            if (weights == AdamW.Weights.NONE) {
                assertEquals(0, moved, "1e-6 is far below half a unit of bf16 at 1");
            } else {
                // 100 steps of 1e-6, which fp32 rounds to 17 units of 2^-24; stochastic: 2^-8 jumps of probability 1e-4
                // n, standard error 6e-6 of the mean
                assertEquals(1e-4, moved, weights == AdamW.Weights.STOCHASTIC ? 3e-5 : 2e-6, weights.toString());
            }
        }
    }

    @Test
    void aSecondMomentDecaysInEveryForm() {
        int n = 256;
        for (AdamW.Moments moments : AdamW.Moments.values()) {
            Random random = new Random(2);
            AdamWReference state = new AdamWReference(AdamW.Weights.FP32, moments, new float[n]);
            state.update(normals(random, n, 1), 1, step(1, 0), 0, 0, 0);
            double before = mean(state);
            // one element keeps the block's scale, so that codes themselves must fall
            float[] gradient = new float[n];
            gradient[0] = (float) Math.sqrt(state.second(0) * 1000);
            for (int t = 2; t <= 501; t++) {
                gradient[0] = (float) Math.sqrt(state.vScale[0]);
                state.update(gradient, 1, step(t, 0), 0, 0, 0);
            }
            double expected = before * Math.pow(0.999, 500);
            // 255 values, each a random walk between codes of up to a few percent
            assertEquals(expected, mean(state), 0.05 * expected, moments.toString());
        }
    }

    private static double mean(AdamWReference state) {
        double sum = 0;
        for (int i = 1; i < 256; i++) {
            sum += state.second(i);
        }
        return sum / 255;
    }

    @Test
    void eightBitMomentsFollowFp32Ones() {
        int n = 2048;
        Random random = new Random(3);
        float[] start = normals(random, n, 0.02);
        AdamWReference exact = new AdamWReference(AdamW.Weights.FP32, AdamW.Moments.FP32, start);
        AdamWReference coded = new AdamWReference(AdamW.Weights.FP32, AdamW.Moments.BLOCK8, start);
        for (int t = 1; t <= 50; t++) {
            float[] gradient = normals(random, n, 1e-3);
            exact.update(gradient, 1, step(t, 1e-4), 0, 0, 0);
            coded.update(gradient, 1, step(t, 1e-4), 0, 0, 0);
        }
        double difference = 0;
        double moved = 0;
        for (int i = 0; i < n; i++) {
            difference += Math.pow(exact.weight(i) - coded.weight(i), 2);
            moved += Math.pow(exact.weight(i) - start[i], 2);
        }
        double relative = Math.sqrt(difference / moved);
        assertTrue(relative < 0.05, "the updates differ by " + relative);
    }

    @Test
    void anUpdateDependsOnStepSeedAndIndexAlone() {
        Random random = new Random(4);
        float[] start = normals(random, 512, 1);
        float[] gradient = normals(random, 512, 1);
        AdamWReference whole = new AdamWReference(AdamW.Weights.STOCHASTIC, AdamW.Moments.BF16, start);
        whole.update(gradient, 1, step(1, 1e-3), 0, 0, 5);
        AdamWReference half = new AdamWReference(
                AdamW.Weights.STOCHASTIC, AdamW.Moments.BF16, java.util.Arrays.copyOfRange(start, 256, 512));
        half.update(java.util.Arrays.copyOfRange(gradient, 256, 512), 1, step(1, 1e-3), 256, 0, 5);
        for (int i = 0; i < 256; i++) {
            assertEquals(whole.w[256 + i], half.w[i], "a rank's slice is a slice of the whole");
            assertEquals(whole.v[256 + i], half.v[i]);
        }
    }
}
