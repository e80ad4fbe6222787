package org.sftnative.model;

import java.util.List;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;

/// What training a model takes with the fused engine, in bytes: arithmetic on its shape. What the JVM, libtorch and
/// CUDA
/// take is not in it.
///
/// @param mode precision, and how moments are kept
/// @param weights bytes of the weights
/// @param gradients bytes of their gradients
/// @param optimizer bytes of AdamW's moments and of the masters' low halves
/// @param kept bytes of the engine's buffers when nothing is computed again
/// @param recomputed the same with --gradient-checkpointing
public record MemoryEstimate(String mode, long weights, long gradients, long optimizer, long kept, long recomputed) {
    /// All but the buffers.
    public long fixed() {
        return weights + gradients + optimizer;
    }

    /// The estimates of every mode.
    ///
    /// @param tokens of a micro-batch
    public static List<MemoryEstimate> of(LlamaConfig c, int tokens) {
        long n = ParameterLayout.of(c).numel();
        return List.of(
                estimate(c, "fp32", Dtype.F32, tokens, 8 * n),
                estimate(c, "bf16", Dtype.BF16, tokens, 10 * n),
                estimate(c, "bf16, moments bf16", Dtype.BF16, tokens, 6 * n),
                estimate(c, "bf16, moments block8", Dtype.BF16, tokens, 4 * n + n / 32));
    }

    private static MemoryEstimate estimate(LlamaConfig c, String mode, Dtype dtype, int tokens, long optimizer) {
        long weights = dtype.bytes() * ParameterLayout.of(c).numel();
        return new MemoryEstimate(
                mode,
                weights,
                weights,
                optimizer,
                LlamaEngine.plannedBytes(c, Recompute.NONE, dtype, Devices.cpu(), tokens),
                LlamaEngine.plannedBytes(c, Recompute.FULL, dtype, Devices.cpu(), tokens));
    }
}
