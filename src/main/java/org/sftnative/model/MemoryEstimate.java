package org.sftnative.model;

import java.util.List;

/// What training a model takes, in bytes, before activations: arithmetic on the number of parameters.
///
/// @param mode precision, as `--precision` names it
/// @param weights bytes of the weights
/// @param gradients bytes of their gradients
/// @param optimizer bytes of AdamW's moments and of fp32 masters, where weights are bf16
/// @param activationsPerToken bytes that one token of a micro-batch keeps until its backward pass
/// @param checkpointedPerToken the same with --gradient-checkpointing
public record MemoryEstimate(
        String mode,
        long weights,
        long gradients,
        long optimizer,
        long activationsPerToken,
        long checkpointedPerToken) {
    /// All but the activations.
    public long fixed() {
        return weights + gradients + optimizer;
    }

    /// The estimates of every mode of the reference engine.
    ///
    /// A block keeps, in elements of a token: its input, both norms' inputs and scaled values, q, k and v
    /// before and after rotation, the attention's output, and gate, up, silu(gate) and their product.
    public static List<MemoryEstimate> of(LlamaConfig c) {
        long n = ParameterLayout.of(c).parameterCount();
        long block = 7L * c.hiddenSize() + 3L * c.qSize() + 4L * c.kvSize() + 4L * c.intermediateSize();
        long all = block * c.nLayer();
        long inputs = (long) c.hiddenSize() * c.nLayer() + block;
        return List.of(
                new MemoryEstimate("fp32", 4 * n, 4 * n, 8 * n, 4 * all, 4 * inputs),
                new MemoryEstimate("bf16-autocast", 4 * n, 4 * n, 8 * n, 3 * all, 3 * inputs),
                new MemoryEstimate("bf16", 2 * n, 2 * n, 12 * n, 2 * all, 2 * inputs));
    }
}
