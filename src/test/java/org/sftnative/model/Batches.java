package org.sftnative.model;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Device;

/// Micro-batches of random tokens.
final class Batches {
    private Batches() {}

    /// Documents of some lengths; each token but a document's first is a label.
    static PackedBatch of(LlamaConfig config, long seed, Device device, int... lengths) {
        int tokens = Arrays.stream(lengths).sum();
        int[] ids =
                new SplittableRandom(seed).ints(tokens, 3, config.vocabSize()).toArray();
        int[] targets = Arrays.copyOfRange(ids, 1, tokens + 1);
        int[] cu = new int[lengths.length + 1];
        for (int d = 0; d < lengths.length; d++) {
            cu[d + 1] = cu[d] + lengths[d];
            targets[cu[d + 1] - 1] = -100;
        }
        return PackedBatch.of(ids, targets, cu, device);
    }
}
