package org.sftnative.model;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sftnative.config.LoraInit;
import org.sftnative.ops.Quantiser;
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
/// @param offloaded the same with --recompute offload, on the card
public record MemoryEstimate(
        String mode, long weights, long gradients, long optimizer, long kept, long recomputed, long offloaded) {
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
                estimate(c, "bf16, moments block8", Dtype.BF16, tokens, 4 * n + n / 32),
                adapters(c, "bf16, LoRA r 16", Optional.empty(), tokens),
                adapters(c, "NF4, LoRA r 16", Optional.of(Quantiser.Kind.NF4_DOUBLE), tokens));
    }

    /// Adapters of every matrix over a frozen bf16 model: fp32 masters, gradients and moments of the adapters alone.
    private static MemoryEstimate adapters(LlamaConfig c, String mode, Optional<Quantiser.Kind> packed, int tokens) {
        AdapterConfig config = new AdapterConfig(
                16,
                32,
                0,
                new AdapterConfig.Targets.AllLinear(),
                List.of(),
                false,
                false,
                Map.of(),
                Map.of(),
                LoraInit.TRUE);
        long trained = config.trainedCount(c);
        long low = 2L * tokens * config.rankSum(c);
        return new MemoryEstimate(
                mode,
                frozenBytes(c, Dtype.BF16, packed) + 6 * trained, // masters, and their copy in bf16
                4 * trained,
                8 * trained,
                buffers(c, Recompute.NONE, Dtype.BF16, tokens) + low,
                buffers(c, Recompute.FULL, Dtype.BF16, tokens) + low,
                buffers(c, Recompute.OFFLOAD, Dtype.BF16, tokens) + low);
    }

    /// Bytes of a frozen model, and of the buffer that packed matrices are unpacked into.
    public static long frozenBytes(LlamaConfig c, Dtype dtype, Optional<Quantiser.Kind> packed) {
        if (packed.isEmpty()) {
            return dtype.bytes() * ParameterLayout.of(c).numel();
        }
        long widest = 0;
        for (Projection p : Projection.values()) {
            widest = Math.max(widest, 2 * p.in(c) * p.out(c)); // gate and up are unpacked together
        }
        return dtype.bytes() * (ParameterLayout.withoutProjections(c).numel() + widest)
                + QuantisedMatrices.plannedBytes(packed.get(), c);
    }

    private static MemoryEstimate estimate(LlamaConfig c, String mode, Dtype dtype, int tokens, long optimizer) {
        long weights = dtype.bytes() * ParameterLayout.of(c).numel();
        return new MemoryEstimate(
                mode,
                weights,
                weights,
                optimizer,
                buffers(c, Recompute.NONE, dtype, tokens),
                buffers(c, Recompute.FULL, dtype, tokens),
                buffers(c, Recompute.OFFLOAD, dtype, tokens));
    }

    private static long buffers(LlamaConfig c, Recompute policy, Dtype dtype, int tokens) {
        return LlamaEngine.plannedBytes(c, policy.everywhere(c.nLayer()), dtype, Devices.cpu(), tokens);
    }
}
