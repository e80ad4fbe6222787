package org.sftnative.train;

import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;
import org.sftnative.InputException;
import org.sftnative.config.LoraInit;
import org.sftnative.config.LoraSettings;
import org.sftnative.config.MomentChoice;
import org.sftnative.config.ShardingChoice;
import org.sftnative.config.TrainingSettings;
import org.sftnative.metrics.Units;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.AdapterSpec;
import org.sftnative.model.Adapters;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Shares;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.optim.RateGroup;

/// What adapters take and how they are trained.
final class AdapterPlan {
    /// Bytes of an adapter's number: fp32 master, gradient and two moments.
    private static final int TRAINED_BYTES = 16;

    private AdapterPlan() {}

    /// What ranks share out of the frozen model: its weights, or nothing.
    ///
    /// @param sharding that is asked for
    static Shares base(ShardingChoice sharding, int ranks, LoadedModel loaded) {
        boolean shared = sharding.sharesWeights() && ranks > 1;
        return new Shares(
                ParameterLayout.of(loaded.config()), shared ? ShardingChoice.ZERO3 : ShardingChoice.NONE, ranks);
    }

    /// What ranks share out of the adapters: at most the optimizer's state, for their gradients are small.
    static ShardingChoice sharding(ShardingChoice sharding) {
        return sharding.sharesGradients() ? ShardingChoice.ZERO1 : sharding;
    }

    /// Tells of the adapters at the start of a run.
    ///
    /// @param asked what ranks are to share out
    /// @param base what they do of the frozen model
    static void say(
            AdapterConfig config,
            LoraSettings lora,
            LoadedModel loaded,
            ShardingChoice asked,
            Shares base,
            SequencedMap<String, String> said) {
        List<AdapterSpec> specs = config.specs(loaded.config());
        List<String> saved = config.savedWeights(loaded.config());
        long count = config.trainedCount(loaded.config());
        long all = ParameterLayout.of(loaded.config()).parameterCount();
        said.put(
                "adapters",
                (config.useDora() ? "DoRA" : "LoRA") + " r " + config.r() + ", scaling "
                        + specs.getFirst().scaling() + (config.useRslora() ? " (rsLoRA)" : "") + ", on " + specs.size()
                        + " matrices" + (saved.isEmpty() ? "" : ", in full: " + String.join(", ", saved))
                        + (config.init() == LoraInit.PISSA ? ", begun and saved as PiSSA's" : "")
                        + (config.dropout() > 0 ? ", dropout " + config.dropout() : "")
                        + (lora.loraPlusRatio() == 1 ? "" : ", learning rate of B x " + lora.loraPlusRatio()));
        said.put(
                "trained",
                String.format(
                        Locale.ROOT,
                        "%d parameters, %.3f%% of %d; weights, gradients and moments %s in fp32",
                        count,
                        100.0 * count / all,
                        all,
                        Units.bytes(count * TRAINED_BYTES)));
        said.put(
                "frozen",
                Units.bytes(frozenBytes(loaded, base))
                        + loaded.quantised()
                                .map(kind -> ", matrices in " + kind)
                                .orElse("")
                        + (base.sharding().sharesWeights() ? ", a part and what passes read the rest from" : ""));
        if (asked.sharesGradients() && base.ranks() > 1) {
            said.put(
                    "sharding",
                    asked + ": adapters as with zero1, for their gradients are small"
                            + (base.sharding().sharesWeights() ? "; the frozen weights are shared out" : ""));
        }
    }

    /// What training takes beside the engine's buffers.
    ///
    /// @param sharding of the adapters
    /// @param base what ranks share out of the frozen model
    static CardMemory.Need need(AdapterConfig config, LoadedModel loaded, ShardingChoice sharding, Shares base) {
        double trained = config.trainedCount(loaded.config());
        double ranks = config.rankSum(loaded.config());
        LlamaConfig c = loaded.config();
        double widest = Math.max(2.0 * c.intermediateSize(), c.qSize() + 2.0 * c.kvSize());
        double scratch = config.useDora() || config.dropout() > 0 ? 12 * widest : 0; // passes of one product
        // 10: master, gradient, and the copy that is computed with; 4: what PiSSA began with
        double each = config.init() == LoraInit.PISSA ? 14 : 10;
        double updated = sharding.sharesOptimizer() ? trained / base.ranks() : trained;
        return new CardMemory.Need(frozenBytes(loaded, base) + each * trained, updated, 2 * ranks + scratch);
    }

    private static long frozenBytes(LoadedModel loaded, Shares base) {
        return MemoryEstimate.frozenBytes(base, loaded.config(), loaded.dtype(), loaded.quantised());
    }

    static Moments moments(TrainingSettings training) {
        if (training.moments() != MomentChoice.AUTO && training.moments() != MomentChoice.FP32) {
            throw new InputException("moments '" + training.moments()
                    + "' are of a model that is trained itself\n  leave it out: adapters have fp32 moments");
        }
        return Moments.FP32;
    }

    /// LoRA+: the Bs have a learning rate of their own.
    static List<RateGroup> groups(Adapters adapters, LoraSettings lora) {
        long n = adapters.trained().layout().numel();
        if (lora.loraPlusRatio() == 1) {
            return RateGroup.all(n);
        }
        long[] b = adapters.rangeOfB();
        RateGroup before = new RateGroup(0, b[0], 1);
        RateGroup of = new RateGroup(b[0], b[1], lora.loraPlusRatio());
        return b[1] == n ? List.of(before, of) : List.of(before, of, new RateGroup(b[1], n, 1));
    }
}
