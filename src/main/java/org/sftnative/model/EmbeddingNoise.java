package org.sftnative.model;

import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.sftnative.tensor.Tensors;

/// NEFTune (arXiv 2310.05914): while training, each embedding gets uniform noise of at most alpha / sqrt(n C), n
/// tokens of its document, C hidden size. What a document gets depends on seed, step and its own tokens: not on the
/// micro-batch that it is in, nor on what was trained before.
///
/// @param alpha 0: none; the paper uses 5 to 15
/// @param seed of the run
public record EmbeddingNoise(double alpha, long seed) {
    /// The batch with the noise of a step.
    ///
    /// @param hidden C
    public PackedBatch on(PackedBatch batch, long step, int hidden) {
        if (alpha == 0) {
            return batch;
        }
        int[] cu = batch.cuSeqlens();
        float[] noise = new float[batch.tokens() * hidden];
        IntStream.range(0, cu.length - 1).parallel().forEach(d -> fill(noise, batch, d, step, hidden));
        return batch.withNoise(Tensors.ofFloats(noise, batch.inputIds().device(), batch.tokens(), hidden));
    }

    private void fill(float[] noise, PackedBatch batch, int document, long step, int hidden) {
        int from = batch.cuSeqlens()[document];
        int to = batch.cuSeqlens()[document + 1];
        // two draws apart: neighbouring seeds and steps give unrelated streams
        long key = new SplittableRandom(seed ^ new SplittableRandom(step).nextLong()).nextLong();
        SplittableRandom random = new SplittableRandom(key ^ batch.documentHash(document));
        double bound = alpha / Math.sqrt((double) (to - from) * hidden);
        for (int i = from * hidden; i < to * hidden; i++) {
            noise[i] = (float) (bound * (2 * random.nextDouble() - 1));
        }
    }
}
