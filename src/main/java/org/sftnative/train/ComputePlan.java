package org.sftnative.train;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Device;
import org.sftnative.InputException;
import org.sftnative.config.EngineChoice;
import org.sftnative.config.MomentChoice;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.config.RecomputeChoice;
import org.sftnative.config.RunSettings;
import org.sftnative.config.ShardingChoice;
import org.sftnative.config.TrainingSettings;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.CausalLm;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaEngine;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.model.Recompute;
import org.sftnative.model.Shares;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.CudaOps;
import org.sftnative.ops.Ops;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.optim.Offload;
import org.sftnative.optim.RateGroup;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;

/// How a run computes: which engine and kernels, what is kept and what computed again, and how many tokens
/// at a time. What settings leave open is decided here, each with its reason.
///
/// @param adapters what is trained over the model; absent: the model itself
/// @param fused the engine with written-out passes, else the reference model
/// @param sharding what ranks share out of what is trained
/// @param sharesBase whether they share out the weights of a frozen model
/// @param ops the mathematics that is no matrix product
/// @param microBatchTokens most tokens of a micro-batch
/// @param said each decision and its reason, in order
record ComputePlan(
        LoadedModel loaded,
        Optional<AdapterConfig> adapters,
        boolean fused,
        ShardingChoice sharding,
        boolean sharesBase,
        Ops ops,
        List<Recompute> recompute,
        Masters masters,
        Moments moments,
        int microBatchTokens,
        SequencedMap<String, String> said) {
    /// Tokens of a micro-batch where memory does not decide. On a CPU, as measured: what one pass leaves in the
    /// caches serves the next, while autograd also pays for each micro-batch.
    private static final int CPU_TOKENS = 1024;

    private static final int CPU_AUTOGRAD_TOKENS = 2048;
    private static final int CUDA_TOKENS = 4096;

    /// @param ranks of the run
    static ComputePlan of(RunSettings settings, LoadedModel loaded, Optional<AdapterConfig> adapters, int ranks) {
        TrainingSettings training = settings.training();
        SequencedMap<String, String> said = new LinkedHashMap<>();
        Device device = loaded.device();
        boolean cuda = Devices.isCuda(device);
        boolean fused = fused(training, loaded, said);
        ShardingChoice asked = settings.dist().sharding();
        if (!fused && (adapters.isPresent() ? asked.sharesWeights() : asked.sharesGradients())) {
            throw new InputException("sharding '" + asked + "' is of the fused engine; here the engine is the reference"
                    + "\n  use --sharding zero1");
        }
        ShardingChoice sharding = adapters.isPresent() ? AdapterPlan.sharding(asked) : asked;
        if (!fused && training.recompute() == RecomputeChoice.OFFLOAD) {
            throw new InputException("recompute 'offload' is of the fused engine; here the engine is the reference"
                    + "\n  use --gradient-checkpointing");
        }
        Ops ops = ops(cuda && fused, device, said);
        Optional<Shares> base = adapters.map(_ -> AdapterPlan.base(asked, ranks, loaded));
        adapters.ifPresent(config -> AdapterPlan.say(config, settings.lora(), loaded, asked, base.orElseThrow(), said));
        Masters masters = loaded.dtype() == Dtype.F32 || adapters.isPresent() // adapters are fp32
                ? Masters.FP32
                : Masters.valueOf(training.masters().name());
        boolean kernels = ops instanceof CudaOps;
        if (masters == Masters.STOCHASTIC && !kernels) {
            throw new InputException("masters 'stochastic' needs the CUDA kernels\n  use --masters split");
        }
        CardMemory.Need need = adapters.map(config -> AdapterPlan.need(config, loaded, sharding, base.orElseThrow()))
                .orElseGet(() -> CardMemory.Need.ofAll(loaded.config(), masters, sharding, ranks));
        boolean offload = offloads(settings, device);
        CardMemory memory = new CardMemory(
                loaded.config(),
                offload ? need.offloaded(masters) : need,
                device,
                kernels ? Devices.totalBytes(device) : 0,
                cuda ? mayPin(ranks) : 0);
        Moments moments = adapters.isPresent() ? AdapterPlan.moments(training) : moments(training, memory, kernels);
        int wanted = training.microBatchTokens() > 0 ? training.microBatchTokens() : CardMemory.ENOUGH_TOKENS;
        List<Recompute> recompute =
                kernels && !training.gradientCheckpointing() && training.recompute() == RecomputeChoice.AUTO
                        ? memory.policies(
                                moments, Math.max(wanted, settings.encoding().maxLength()))
                        : recompute(training, cuda).everywhere(loaded.config().nLayer());
        said.put("recompute", Recompute.describe(recompute));
        said.put(
                "optimizer",
                masters(masters) + ", moments in " + moments.name().toLowerCase()
                        + (offload ? ", in the host's memory" : ""));
        if (training.offloadOptimizer() && !cuda) {
            said.put("offload_optimizer", "of no use on a CPU: the state is in the host's memory as it is");
        }
        int tokens = training.microBatchTokens() > 0
                ? training.microBatchTokens()
                : kernels
                        ? memory.tokens(moments, recompute)
                        : cuda ? CUDA_TOKENS : fused ? CPU_TOKENS : CPU_AUTOGRAD_TOKENS;
        if (cuda) {
            memory.checkHost(recompute, tokens);
        }
        said.put(
                "micro_batch_tokens",
                tokens + (training.microBatchTokens() > 0 ? "" : kernels ? " (fits)" : " (default)"));
        boolean sharesBase = base.filter(b -> b.sharding().sharesWeights()).isPresent();
        return new ComputePlan(
                loaded, adapters, fused, sharding, sharesBase, ops, recompute, masters, moments, tokens, said);
    }

    /// The model that is trained.
    CausalLm model(Trainee trainee) {
        Llama.Options options = new Llama.Options(recompute.getFirst() != Recompute.NONE, autocast(loaded));
        if (trainee.adapted().isEmpty()) {
            return fused
                    ? new LlamaEngine(loaded.config(), trainee.weights(), ops, recompute)
                    : new Llama(loaded.config(), trainee.weights(), options);
        }
        Trainee.Adapted a = trainee.adapted().get();
        return fused
                ? new LlamaEngine(loaded.config(), a.base(), a.adapters(), ops, recompute)
                : new Llama(loaded.config(), a.base(), a.adapters(), options);
    }

    /// The gradients of what is trained: before the optimizer and the model, which use them.
    /// And what passes read weights from, where ranks share these out.
    void makeGradients(Trainee trainee, World world) {
        if (sharesBase) {
            trainee.adapted().orElseThrow().base().dense().shareWeights(world);
        }
        if (sharding.sharesGradients()) {
            trainee.weights().shareGradients(world);
        } else {
            trainee.weights().enableGradients();
        }
    }

    AdamWOptimizer optimizer(RunSettings settings, Trainee trainee, World world) {
        TrainingSettings training = settings.training();
        Parameters weights = trainee.weights();
        ParameterLayout layout = weights.layout();
        AdamWUpdate update = new AdamWUpdate(
                training.learningRate(),
                training.adamBeta1(),
                training.adamBeta2(),
                training.adamEpsilon(),
                training.weightDecay(),
                0,
                layout.decayed(),
                0,
                training.seed());
        long n = sharding.sharesOptimizer()
                ? Part.of(layout.numel(), world.rank(), world.size()).count()
                : layout.numel();
        boolean offload = offloads(settings, weights.device());
        if (offload) {
            CardMemory.checkHost(masters, moments, n * world.localSize(), Devices.freeBytes(Devices.cpu()));
        }
        AdamWState state = offload
                ? Offload.state(masters, moments, n, weights.device())
                : AdamWState.create(masters, moments, n, weights.device());
        List<RateGroup> groups = trainee.adapted()
                .map(a -> AdapterPlan.groups(a.adapters(), settings.lora()))
                .orElse(RateGroup.all(layout.numel()));
        return new AdamWOptimizer(
                ops,
                weights.keptWeights(),
                weights.keptGradients(),
                update,
                state,
                offload ? Optional.of(new Offload(ops, state, weights.device())) : Optional.empty(),
                groups,
                sharding,
                world);
    }

    private static boolean offloads(RunSettings settings, Device device) {
        return settings.training().offloadOptimizer() && Devices.isCuda(device);
    }

    private static boolean fused(TrainingSettings training, LoadedModel loaded, SequencedMap<String, String> said) {
        boolean cudaFp32 = Devices.isCuda(loaded.device()) && loaded.dtype() == Dtype.F32;
        boolean unknown = autocast(loaded) || cudaFp32;
        if (training.engine() == EngineChoice.FUSED && unknown) {
            throw new InputException("engine 'fused' does not know precision '" + loaded.precision() + "' on "
                    + Devices.name(loaded.device()) + "\n  use --engine reference, or --precision bf16");
        }
        boolean fused = training.engine() != EngineChoice.REFERENCE && !unknown;
        said.put(
                "engine",
                fused
                        ? "fused"
                        : "reference (libtorch autograd" + (unknown ? ", for " + loaded.precision() : "") + ")");
        return fused;
    }

    private static Ops ops(boolean wanted, Device device, SequencedMap<String, String> said) {
        if (!wanted) {
            return new AtenOps();
        }
        return switch (CudaOps.probe(device)) {
            case CudaOps.Probe.Ready(CudaOps ops, String arch) -> {
                said.put("kernels", "own, " + arch);
                yield ops;
            }
            case CudaOps.Probe.Missing(String reason) -> {
                said.put("kernels", "libtorch's, slower (" + reason + ")");
                yield new AtenOps();
            }
        };
    }

    private static Recompute recompute(TrainingSettings training, boolean cuda) {
        return switch (training.recompute()) {
            case AUTO ->
                training.gradientCheckpointing() ? Recompute.FULL : cuda ? Recompute.SELECTIVE : Recompute.NONE;
            case NONE -> Recompute.NONE;
            case SELECTIVE -> Recompute.SELECTIVE;
            case FULL_KEEP_ATTENTION -> Recompute.FULL_KEEP_ATTENTION;
            case FULL -> Recompute.FULL;
            case OFFLOAD -> Recompute.OFFLOAD;
        };
    }

    /// Bytes of the host's memory that this rank may pin: its part of a half, if that much is free.
    private static double mayPin(int ranks) {
        double half = Math.min(Devices.hostBytes() / 2.0, Devices.freeBytes(Devices.cpu()));
        return half / Math.min(ranks, Devices.cards());
    }

    private static Moments moments(TrainingSettings training, CardMemory memory, boolean kernels) {
        if (!kernels && training.moments() != MomentChoice.AUTO && training.moments() != MomentChoice.FP32) {
            throw new InputException(
                    "moments '" + training.moments() + "' need the CUDA kernels\n  use --moments fp32");
        }
        if (training.moments() != MomentChoice.AUTO) {
            return Moments.valueOf(training.moments().name());
        }
        return kernels ? memory.moments() : Moments.FP32;
    }

    private static String masters(Masters masters) {
        return switch (masters) {
            case FP32 -> "AdamW on fp32 weights";
            case SPLIT -> "AdamW on split fp32 masters";
            case STOCHASTIC -> "AdamW on bf16 weights, rounded stochastically";
            case NONE -> "AdamW on bf16 weights, rounded to nearest";
        };
    }

    private static boolean autocast(LoadedModel loaded) {
        return loaded.precision() == PrecisionChoice.BF16_AUTOCAST;
    }
}
