package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sftnative.config.LoraInit;
import org.sftnative.config.ShardingChoice;
import org.sftnative.ops.Quantiser;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;

/// What training a model takes with the fused engine, in bytes, of one of the ranks that share it out: arithmetic on
/// its shape. What the JVM, libtorch and CUDA take is not in it.
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

    /// The estimates of every mode, of one process.
    ///
    /// @param tokens of a micro-batch
    public static List<MemoryEstimate> of(LlamaConfig c, int tokens) {
        return of(c, tokens, ShardingChoice.NONE, 1);
    }

    /// The estimates of every mode that can be trained so, of one of several ranks.
    ///
    /// @param tokens of a micro-batch
    public static List<MemoryEstimate> of(LlamaConfig c, int tokens, ShardingChoice sharding, int ranks) {
        Shares shares = new Shares(ParameterLayout.of(c), sharding, ranks);
        List<MemoryEstimate> all = new ArrayList<>(List.of(
                estimate(c, "fp32", Dtype.F32, tokens, 8, shares),
                estimate(c, "bf16", Dtype.BF16, tokens, 10, shares),
                estimate(c, "bf16, moments bf16", Dtype.BF16, tokens, 6, shares),
                estimate(c, "bf16, moments block8", Dtype.BF16, tokens, 4 + 1.0 / 32, shares),
                adapters(c, "bf16, LoRA r 16", Optional.empty(), tokens, shares)));
        if (!sharding.sharesWeights()) {
            all.add(adapters(c, "NF4, LoRA r 16", Optional.of(Quantiser.Kind.NF4_DOUBLE), tokens, shares));
        }
        return all;
    }

    /// Adapters of every matrix over a frozen bf16 model: fp32 masters, gradients and moments of the adapters alone.
    private static MemoryEstimate adapters(
            LlamaConfig c, String mode, Optional<Quantiser.Kind> packed, int tokens, Shares shares) {
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
                frozenBytes(shares, c, Dtype.BF16, packed) + 6 * trained, // masters, and their copy in bf16
                4 * trained,
                8 * trained / (shares.sharding().sharesOptimizer() ? shares.ranks() : 1),
                buffers(c, Recompute.NONE, Dtype.BF16, tokens) + low,
                buffers(c, Recompute.FULL, Dtype.BF16, tokens) + low,
                buffers(c, Recompute.OFFLOAD, Dtype.BF16, tokens) + low);
    }

    /// Bytes of what a rank has of a frozen model, and of the buffers that its matrices are fetched or unpacked into.
    ///
    /// @param shares no weights if they are packed
    public static long frozenBytes(Shares shares, LlamaConfig c, Dtype dtype, Optional<Quantiser.Kind> packed) {
        if (packed.isEmpty()) {
            return dtype.bytes() * shares.weights();
        }
        long widest = 0;
        for (Projection p : Projection.values()) {
            widest = Math.max(widest, 2 * p.in(c) * p.out(c)); // gate and up are unpacked together
        }
        return dtype.bytes() * (ParameterLayout.withoutProjections(c).numel() + widest)
                + QuantisedMatrices.plannedBytes(packed.get(), c);
    }

    /// @param state bytes of a weight's moments, and of its master's low half
    private static MemoryEstimate estimate(
            LlamaConfig c, String mode, Dtype dtype, int tokens, double state, Shares shares) {
        return new MemoryEstimate(
                mode,
                dtype.bytes() * shares.weights(),
                shares.gradientBytes(dtype.bytes()),
                (long) (state * shares.updated()),
                buffers(c, Recompute.NONE, dtype, tokens),
                buffers(c, Recompute.FULL, dtype, tokens),
                buffers(c, Recompute.OFFLOAD, dtype, tokens));
    }

    private static long buffers(LlamaConfig c, Recompute policy, Dtype dtype, int tokens) {
        return LlamaEngine.plannedBytes(c, policy.everywhere(c.nLayer()), dtype, Devices.cpu(), tokens);
    }
}
