package org.sftnative.train;

import java.util.List;
import org.bytedeco.pytorch.Device;
import org.sftnative.InputException;
import org.sftnative.config.ShardingChoice;
import org.sftnative.metrics.Units;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaEngine;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Recompute;
import org.sftnative.model.Shares;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.optim.Offload;
import org.sftnative.tensor.Dtype;

/// What fits on a card beside weights, gradients and optimizer: arithmetic on the engine's buffers.
///
/// @param bytes of the card
/// @param hostBytes of the host's memory that may be pinned
record CardMemory(LlamaConfig config, Need need, Device device, double bytes, double hostBytes) {
    /// Tokens beyond which matrix products gain nothing on a card.
    private static final int MOST_TOKENS = 16_384;

    /// Tokens for which it is worth to compute again: fewer slow the products down by more.
    static final int ENOUGH_TOKENS = 4096;

    private static final int FEWEST_TOKENS = 1024;
    private static final int STEP = 256;

    /// What CUDA, libraries and attention take besides our buffers.
    private static final double RESERVE = 2.5e9;

    /// What training takes beside the engine's buffers.
    ///
    /// @param fixed bytes of weights, gradients and masters
    /// @param updated weights whose moments are on the card
    /// @param perToken bytes of a token beside the engine's buffers
    record Need(double fixed, double updated, double perToken) {
        /// @param ranks that share out what sharding says
        static Need ofAll(LlamaConfig config, Masters masters, ShardingChoice sharding, int ranks) {
            Shares shares = new Shares(ParameterLayout.of(config), sharding, ranks);
            double updated = shares.updated();
            double headGradient = sharding.sharesGradients() ? 0 : 4.0 * config.vocabSize() * config.hiddenSize();
            double weights = 2.0 * shares.weights();
            double gradients = shares.gradientBytes(2) + headGradient;
            return new Need(weights + gradients + (masters == Masters.SPLIT ? 2 * updated : 0), updated, 0);
        }

        /// The same with the optimizer's state on the host, but for two pieces of it.
        Need offloaded(Masters masters) {
            double here = 2 * Math.min(Offload.PIECE, updated);
            return new Need(fixed + (masters == Masters.SPLIT ? 2 * (here - updated) : 0), here, perToken);
        }
    }

    /// Refuses to keep on the host what it has no room for.
    ///
    /// @param elements of all ranks of this machine
    /// @param free bytes of the host's memory
    static void checkHost(Masters masters, Moments moments, long elements, long free) {
        long bytes = (long) (elements * (bytes(moments) + (masters == Masters.SPLIT ? 2 : 0)));
        if (bytes > free) {
            throw new InputException("offload_optimizer: the optimizer's state takes " + Units.bytes(bytes)
                    + " of the host's memory, which has " + Units.bytes(free)
                    + " free\n  --moments bf16 takes about half of it, --moments block8 a quarter");
        }
    }

    /// Refuses to gather weights that ranks share out on a host that has no room for all of them, as rank 0
    /// does to save them.
    ///
    /// @param bytes of all weights
    /// @param free bytes of the host's memory
    static void checkGathering(long bytes, long free) {
        if (bytes > free) {
            throw new InputException("sharding zero3: rank 0 gathers the weights to save them, which takes "
                    + Units.bytes(bytes) + " of its host's memory, which has " + Units.bytes(free)
                    + " free\n  start rank 0 on a host with more, or train adapters (--lora-r)");
        }
    }

    /// The widest moments that leave room for some tokens, nothing but norms and SwiGLU computed again.
    Moments moments() {
        List<Recompute> selective = Recompute.SELECTIVE.everywhere(config.nLayer());
        for (Moments moments : Moments.values()) {
            if (fits(moments, selective, FEWEST_TOKENS)) {
                return moments;
            }
        }
        return Moments.BLOCK8;
    }

    /// The least to compute again so that a micro-batch of so many tokens fits, then the least to offload;
    /// where nothing fits, all that the host's memory has room for.
    List<Recompute> policies(Moments moments, int tokens) {
        int last = (Recompute.values().length - 1) * config.nLayer();
        for (int rung = 0; rung < last; rung++) {
            List<Recompute> policies = Recompute.rung(config.nLayer(), rung);
            if (fits(moments, policies, tokens)) {
                return policies;
            }
        }
        List<Recompute> offload = Recompute.OFFLOAD.everywhere(config.nLayer());
        return hostBytes(offload, tokens) <= hostBytes ? offload : Recompute.FULL.everywhere(config.nLayer());
    }

    /// The largest micro-batch that fits, in steps of 256 tokens.
    int tokens(Moments moments, List<Recompute> policies) {
        int tokens = MOST_TOKENS;
        while (tokens > STEP && !fits(moments, policies, tokens)) {
            tokens -= STEP;
        }
        return tokens;
    }

    boolean fits(Moments moments, List<Recompute> policies, int tokens) {
        double taken = need.fixed() + need.updated() * bytes(moments) + RESERVE;
        double buffers = LlamaEngine.plannedBytes(config, policies, Dtype.BF16, device, tokens);
        return taken + buffers + tokens * need.perToken() <= bytes && hostBytes(policies, tokens) <= hostBytes;
    }

    /// Refuses to offload what the host has no room for, before any of it is pinned.
    void checkHost(List<Recompute> policies, int tokens) {
        double needed = hostBytes(policies, tokens);
        if (needed > hostBytes) {
            int fewer = (int) (tokens * hostBytes / needed) / STEP * STEP;
            throw new InputException("recompute 'offload': micro-batches of " + tokens + " tokens take "
                    + Units.bytes((long) needed) + " of the host's memory, of which " + Units.bytes((long) hostBytes)
                    + " may be pinned\n  use " + (fewer > 0 ? "--micro-batch-tokens " + fewer + ", or " : "")
                    + "--recompute full");
        }
    }

    private double hostBytes(List<Recompute> policies, int tokens) {
        return LlamaEngine.plannedHostBytes(config, policies, Dtype.BF16, tokens);
    }

    private static double bytes(Moments moments) {
        return switch (moments) {
            case FP32 -> 8;
            case BF16 -> 4;
            case BLOCK8 -> 2 + 8.0 / 256;
        };
    }
}
