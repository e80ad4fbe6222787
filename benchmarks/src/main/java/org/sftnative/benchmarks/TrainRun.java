package org.sftnative.benchmarks;

import java.util.Map;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.sftnative.config.LoraSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.SpikeSettings;
import org.sftnative.config.TrainingSettings;
import org.sftnative.data.MicroBatch;
import org.sftnative.data.Step;
import org.sftnative.data.StepPlan;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.AdapterInit;
import org.sftnative.model.Adapters;
import org.sftnative.model.CausalLm;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Initialisation;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaEngine;
import org.sftnative.model.PackedBatch;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.model.Recompute;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.train.RunControl;
import org.sftnative.train.RunState;
import org.sftnative.train.SpikeGuard;
import org.sftnative.train.TrainLoop;

/// The training loop of a workload, fp32, from packing to update, ready to be run again and again. Evaluation,
/// checkpoints and listeners are left out.
final class TrainRun implements AutoCloseable {
    /// Steps of a run.
    static final int STEPS = 4;

    private final Workload workload;
    private final Device device;
    private final Parameters parameters;
    private final Adapters adapters;
    private final Parameters trained;
    private final AdamWOptimizer optimizer;
    private final AdamWState state;
    private final CausalLm model;
    private final StepPlan plan;
    private final TrainLoop loop;

    /// @param engine `fused`, `reference`, or `lora`: fused over a frozen model, rank 16
    /// @param wrap what the engine and the optimizer compute with, made of what they would
    TrainRun(Workload workload, String engine, Device device, UnaryOperator<Ops> wrap) {
        this.workload = workload;
        this.device = device;
        Ops ops = wrap.apply(new AtenOps());
        parameters = new Parameters(ParameterLayout.of(workload.config()), Dtype.F32, device);
        Initialisation.fill(parameters, workload.config(), 42);
        adapters = Adapters.of(
                AdapterConfig.of(SettingsSchema.of(LoraSettings.class).bind(Map.of("lora_r", "16"))),
                workload.config(),
                device);
        AdapterInit.fill(adapters, FrozenBase.of(parameters), 42);
        trained = engine.equals("lora") ? adapters.trained() : parameters;
        trained.enableGradients();
        model = switch (engine) {
            case "reference" -> reference();
            case "fused" -> new LlamaEngine(workload.config(), parameters, ops, Recompute.NONE);
            case "lora" -> new LlamaEngine(workload.config(), FrozenBase.of(parameters), adapters, ops, Recompute.NONE);
            default -> throw new IllegalArgumentException("engine " + engine);
        };
        ParameterLayout layout = trained.layout();
        state = AdamWState.create(Masters.FP32, Moments.FP32, layout.numel(), device);
        optimizer = new AdamWOptimizer(
                ops,
                trained.flatWeights(),
                trained.flatGradients(),
                new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0.01, 0, layout.decayed(), 0, 42),
                state);
        plan = workload.plan(STEPS);
        TrainingSettings settings = SettingsSchema.of(TrainingSettings.class)
                .bind(Map.of(
                        "output_dir", "none", "max_steps", "" + STEPS, "eval_strategy", "no", "save_strategy", "no"));
        loop = new TrainLoop(
                model,
                new CrossEntropy(),
                optimizer,
                step -> 1e-4,
                plan,
                settings,
                new SpikeGuard(SpikeSettings.OFF),
                new NoPauses(),
                event -> {},
                World.ALONE);
    }

    /// Trains [#STEPS] steps.
    RunState run() {
        RunState end = loop.run(RunState.START);
        Devices.synchronize(device);
        return end;
    }

    /// Bytes of the buffers that live as long as the run: weights, gradients, moments, the engine's own.
    long bufferBytes() {
        return parameters.flatWeights().nbytes()
                + trained.flatGradients().nbytes()
                + state.m().nbytes()
                + state.v().nbytes()
                + (model instanceof LlamaEngine engine ? engine.bufferBytes() : 0);
    }

    /// The engine's loss is the reference model's (6e-8 apart where measured, 1e-5 allowed) and that of random weights,
    /// the logarithm of the vocabulary (0.7% above it where measured, 2% allowed); training lowers it.
    /// @throws IllegalStateException if one of these does not hold
    void check() {
        double expected = referenceLoss();
        double logVocabulary = Math.log(workload.config().vocabSize());
        require(Math.abs(expected / logVocabulary - 1) < 0.02, "loss of random weights " + expected);
        double before = accumulatedLoss();
        require(Math.abs(before / expected - 1) < 1e-5, "loss " + before + ", reference " + expected);
        RunState end = run();
        require(end.step() == STEPS && end.skipped() == 0, "ended in " + end);
        double after = accumulatedLoss();
        require(after < before, "loss " + before + " became " + after);
    }

    @Override
    public void close() {
        model.close();
        optimizer.close();
        adapters.close();
        parameters.close();
    }

    private Llama reference() {
        return new Llama(workload.config(), parameters, Llama.Options.PLAIN);
    }

    /// Mean loss of the first step's label tokens, without a backward pass.
    private double referenceLoss() {
        double sum = 0;
        for (MicroBatch micro : plan.step(0).microBatches()) {
            try (PointerScope _ = new PointerScope()) {
                sum += reference().loss(packed(micro), new CrossEntropy()).item_double();
            }
        }
        return sum / plan.step(0).labelTokens();
    }

    /// The same from the pass that trains; the gradients are forgotten.
    private double accumulatedLoss() {
        Step step = plan.step(0);
        double sum = 0;
        model.startStep();
        for (MicroBatch micro : step.microBatches()) {
            try (PointerScope _ = new PointerScope()) {
                sum += model.accumulate(packed(micro), new CrossEntropy(), 1.0 / step.labelTokens())
                        .item_double();
            }
        }
        return sum / step.labelTokens();
    }

    private PackedBatch packed(MicroBatch micro) {
        return PackedBatch.of(micro.inputIds(), micro.targets(), micro.cuSeqlens(), device);
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    private record NoPauses() implements TrainLoop.Hooks {
        @Override
        public boolean evaluates() {
            return false;
        }

        @Override
        public RunEvent.Evaluated evaluate(RunState state) {
            throw new IllegalStateException("nothing to evaluate");
        }

        @Override
        public void save(RunState state) {
            throw new IllegalStateException("nothing to save");
        }

        @Override
        public RunControl.Request request() {
            return RunControl.Request.NONE;
        }
    }
}
