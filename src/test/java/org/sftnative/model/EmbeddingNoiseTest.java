package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.sftnative.ops.AtenOps;
import org.sftnative.support.NativeScope;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

@ExtendWith(NativeScope.class)
class EmbeddingNoiseTest {
    private static final int HIDDEN = 64;
    private static final EmbeddingNoise NOISE = new EmbeddingNoise(5, 42);

    @Test
    void itIsUniformAndItsBoundShrinksWithTheDocument() {
        int[] cu = {0, 400, 500};
        float[] noise = noise(NOISE, batch(0, cu), 3);
        for (int d = 0; d < 2; d++) {
            float[] part = Arrays.copyOfRange(noise, cu[d] * HIDDEN, cu[d + 1] * HIDDEN);
            int n = part.length;
            double bound = 5 / Math.sqrt(n);
            double mean = IntStream.range(0, n).mapToDouble(i -> part[i]).sum() / n;
            double square =
                    IntStream.range(0, n).mapToDouble(i -> part[i] * part[i]).sum() / n;
            double most = IntStream.range(0, n)
                    .mapToDouble(i -> Math.abs(part[i]))
                    .max()
                    .orElseThrow();
            assertTrue(most <= bound && most > 0.99 * bound, "at most " + most + " of " + bound);
            assertEquals(0, mean, 4 * bound / Math.sqrt(3.0 * n)); // 4 sigma
            assertEquals(bound * bound / 3, square, 4 * bound * bound * Math.sqrt(4 / 45.0 / n));
        }
    }

    @Test
    void aDocumentsNoiseIsThatOfSeedStepAndItsTokens() {
        PackedBatch both = batch(0, 0, 30, 50);
        float[] noise = noise(NOISE, both, 3);
        // another cut
        assertArrayEquals(Arrays.copyOfRange(noise, 30 * HIDDEN, 50 * HIDDEN), noise(NOISE, batch(30, 0, 20), 3));
        assertArrayEquals(noise, noise(NOISE, both, 3));
        for (float[] other : new float[][] {
            noise(NOISE, both, 4), noise(new EmbeddingNoise(5, 43), both, 3), noise(NOISE, batch(1, 0, 30, 50), 3)
        }) {
            assertFalse(IntStream.range(0, noise.length).anyMatch(i -> noise[i] == other[i] && noise[i] > 1e-3));
        }
    }

    @Test
    void withoutAlphaABatchIsLeftAsItIs() {
        PackedBatch batch = batch(0, 0, 4);
        assertTrue(new EmbeddingNoise(0, 42).on(batch, 1, HIDDEN) == batch);
    }

    @Test
    void bothEnginesGiveTheSameGradientsAndAnotherLossThanWithoutNoise() {
        try (GoldenModel golden = GoldenModel.load("llama2")) {
            PackedBatch plain = golden.pack();
            int hidden = golden.llama(false).config().hiddenSize();
            PackedBatch noised = NOISE.on(plain, 7, hidden);
            for (boolean checkpointing : new boolean[] {false, true}) {
                Llama reference = golden.llama(checkpointing);
                reference.startStep();
                double without =
                        reference.accumulate(plain, new CrossEntropy(), 1e-2).item_double();
                reference.startStep();
                double expected =
                        reference.accumulate(noised, new CrossEntropy(), 1e-2).item_double();
                assertTrue(Math.abs(without - expected) > 1e-3 * without);
                // evaluation does not know noise
                assertEquals(without, reference.loss(noised, new CrossEntropy()).item_double(), 1e-4 * without);
                Tensor gradients = golden.parameters().flatGradients().clone();
                for (Recompute policy : Recompute.values()) {
                    try (LlamaEngine engine =
                            new LlamaEngine(reference.config(), golden.parameters(), new AtenOps(), policy)) {
                        engine.startStep();
                        double loss = engine.accumulate(noised, new CrossEntropy(), 1e-2)
                                .item_double();
                        assertEquals(expected, loss, 1e-6 * expected);
                        assertNormClose(
                                policy.toString(),
                                Tensors.floats(gradients),
                                Tensors.floats(golden.parameters().flatGradients()),
                                2e-6);
                    }
                }
            }
        }
    }

    private static PackedBatch batch(int firstId, int... cu) {
        int tokens = cu[cu.length - 1];
        int[] ids = IntStream.range(firstId, firstId + tokens).toArray();
        return PackedBatch.of(ids, ids, cu, Devices.cpu());
    }

    private static float[] noise(EmbeddingNoise noise, PackedBatch batch, long step) {
        return Tensors.floats(noise.on(batch, step, HIDDEN).noise().orElseThrow());
    }
}
