package org.sftnative.train;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.data.MicroBatch;
import org.sftnative.dist.World;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LossFunction;
import org.sftnative.model.PackedBatch;
import org.sftnative.tensor.Tensors;

/// Scores rows: the summed loss over all label tokens, divided by their number. Independent of how the rows
/// are batched; no logits are kept.
///
/// @param batches rows to score, in micro-batches
public record Evaluator(List<MicroBatch> batches) {
    /// What came of it.
    public record Score(double lossSum, long labelTokens, double seconds) {
        /// Summed loss / label tokens.
        double loss() {
            return lossSum / labelTokens;
        }
    }

    /// Every n-th batch, for one of n ranks.
    Evaluator part(World world) {
        return new Evaluator(IntStream.range(0, batches.size())
                .filter(i -> i % world.size() == world.rank())
                .mapToObj(batches::get)
                .toList());
    }

    /// The same rows in micro-batches of at most half the tokens of the largest one, where documents allow it; empty
    /// if none does.
    Optional<Evaluator> halved() {
        int most = batches.stream().mapToInt(MicroBatch::tokens).max().orElse(0) / 2;
        List<MicroBatch> smaller = new ArrayList<>();
        batches.forEach(batch -> smaller.addAll(batch.cut(most)));
        return smaller.size() > batches.size() ? Optional.of(new Evaluator(smaller)) : Optional.empty();
    }

    public Score score(CausalLm model, LossFunction loss) {
        long began = System.nanoTime();
        long labelTokens = 0;
        try (PointerScope _ = new PointerScope()) {
            Tensor sum = Tensors.zeros(ScalarType.Double, model.parameters().device());
            for (MicroBatch micro : batches) {
                try (PointerScope _ = new PointerScope()) {
                    PackedBatch batch = PackedBatch.of(
                            micro.inputIds(),
                            micro.targets(),
                            micro.cuSeqlens(),
                            model.parameters().device());
                    labelTokens += batch.labelTokens();
                    sum.add_(model.loss(batch, loss));
                }
            }
            return new Score(sum.item_double(), labelTokens, (System.nanoTime() - began) / 1e9);
        }
    }
}
