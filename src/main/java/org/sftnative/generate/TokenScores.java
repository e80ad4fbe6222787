package org.sftnative.generate;

import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.data.Document;
import org.sftnative.data.MicroBatch;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LossFunction;
import org.sftnative.model.PackedBatch;
import org.sftnative.tensor.Tensors;

/// Loss and hits of every label token of documents, in their order; no logits are kept beyond a chunk.
public final class TokenScores {
    /// @param lossSum of its label tokens
    /// @param hits label tokens that are the likeliest
    public record Score(double lossSum, int hits, int labelTokens) {}

    private TokenScores() {}

    /// @param batches the documents in their order, cut into micro-batches
    public static Score[] of(CausalLm model, List<MicroBatch> batches, List<Document> documents) {
        Score[] scores = new Score[documents.size()];
        int d = 0;
        for (MicroBatch micro : batches) {
            Tokens tokens = new Tokens(micro.labelTokens());
            try (PointerScope _ = new PointerScope()) {
                model.loss(
                        PackedBatch.of(
                                micro.inputIds(),
                                micro.targets(),
                                micro.cuSeqlens(),
                                model.parameters().device()),
                        tokens);
            }
            for (int t = 0; t < tokens.count; d++) {
                double sum = 0;
                int hits = 0;
                int n = documents.get(d).labelTokens();
                for (int i = 0; i < n; i++, t++) {
                    sum += tokens.losses[t];
                    hits += tokens.hits[t] ? 1 : 0;
                }
                scores[d] = new Score(sum, hits, n);
            }
        }
        return scores;
    }

    /// Takes note of each token as the model goes through its label rows.
    private static final class Tokens implements LossFunction {
        private static final long NONE = 0; // no reduction
        private static final long IGNORED = -100;

        private final float[] losses;
        private final boolean[] hits;
        private int count;

        Tokens(int labelTokens) {
            losses = new float[labelTokens];
            hits = new boolean[labelTokens];
        }

        @Override
        public Tensor sum(Tensor logits, Tensor targets) {
            Tensor each = torch.cross_entropy_loss(logits, targets, new TensorOptional(), NONE, IGNORED, 0.0);
            float[] values = Tensors.floats(each);
            long[] best = Tensors.longs(logits.argmax(new LongOptional(1), false));
            long[] wanted = Tensors.longs(targets);
            for (int i = 0; i < values.length; i++) {
                losses[count] = values[i];
                hits[count++] = best[i] == wanted[i];
            }
            return each.sum();
        }
    }
}
