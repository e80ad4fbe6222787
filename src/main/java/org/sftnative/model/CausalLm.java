package org.sftnative.model;

import java.util.Optional;
import org.bytedeco.pytorch.Tensor;

/// A trainable causal language model: weights and gradients in flat buffers, and the three things a training loop asks
/// of it.
/// `Llama` is the readable reference on libtorch autograd.
public interface CausalLm extends AutoCloseable {
    LlamaConfig config();

    /// The weights, and beside each the gradient that [#accumulate] adds to.
    Parameters parameters();

    /// Forgets the gradients: the next [#accumulate] is the first of a step.
    default void startStep() {
        startStep(1);
    }

    /// The same, as one of several ranks. Where they share gradients out it is a meeting.
    ///
    /// @param microBatches that are to come on this rank at most, and then [#endStep]
    void startStep(int microBatches);

    /// Forward and backward of one micro-batch: adds the gradient of `loss(logits, targets) * scale` to the gradients.
    ///
    /// @param loss the objective over label rows, summed
    /// @param scale 1 / (label tokens of the optimizer step)
    /// @return the summed, unscaled loss: a scalar, fp32, on the device, detached
    Tensor accumulate(PackedBatch batch, LossFunction loss, double scale);

    /// All micro-batches were there, or one failed: the gradients are those of the step, zero if there was none.
    /// Where ranks share them out it is a meeting, and they are of all ranks.
    void endStep();

    /// Passes without gradients follow, [#loss] and [#logits]. Where ranks share anything out it is a meeting.
    ///
    /// @param passes that are to come on this rank at most, and then [#endScoring]
    /// @return whether any are to come, on whichever rank
    default boolean startScoring(int passes) {
        return passes > 0;
    }

    /// All of them were there, or one failed. Where ranks share anything out it is a meeting.
    default void endScoring() {}

    /// The summed loss of a micro-batch without gradients: a scalar, fp32, on the device. Keeps no logits beyond a
    /// chunk.
    Tensor loss(PackedBatch batch, LossFunction loss);

    /// Logits of the given positions of a batch, without gradients: (rows, V) fp32.
    Tensor logits(PackedBatch batch, Tensor rows);

    /// What the user should know of the passes so far, told once.
    default Optional<String> warning() {
        return Optional.empty();
    }

    /// Gives back the memory that passes of the largest micro-batch so far needed: smaller ones follow.
    default void shrink() {}

    /// Gives back what the engine itself holds; never the weights.
    @Override
    default void close() {}
}
