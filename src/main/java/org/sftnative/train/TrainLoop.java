package org.sftnative.train;

import java.nio.file.Path;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.config.IntervalStrategy;
import org.sftnative.config.TrainingSettings;
import org.sftnative.data.MicroBatch;
import org.sftnative.data.Step;
import org.sftnative.data.StepPlan;
import org.sftnative.data.StepsAhead;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.model.CausalLm;
import org.sftnative.model.EmbeddingNoise;
import org.sftnative.model.LossFunction;
import org.sftnative.model.PackedBatch;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.optim.Schedule;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The training loop, top to bottom: take the rows of a step, forward and backward over its micro-batches, clip,
/// update, tell.
/// `docs/LOOP.md` shows how to change it: another loss, a listener, a schedule.
///
/// What it does not know: where rows come from, how the model computes, what is done with events.
public final class TrainLoop {
    private final CausalLm model;
    private final LossFunction loss;
    private final AdamWOptimizer optimizer;
    private final Schedule schedule;
    private final StepPlan plan;
    private final TrainingSettings settings;
    private final Hooks hooks;
    private final RunListener listener;
    private final Recovery recovery;
    private final SpikeGuard guard;
    private final EmbeddingNoise noise;
    private final World world;
    private final RankLoads loads;
    private final long totalSteps;

    /// What happens between steps.
    public interface Hooks {
        /// Scores the evaluation rows; NaN where there are none.
        RunEvent.Evaluated evaluate(RunState state);

        /// Whether there is anything to evaluate.
        boolean evaluates();

        /// Whether the run has learnt enough, and ends before its last step.
        default boolean endsEarly() {
            return false;
        }

        /// Takes a checkpoint, unless this step has one.
        ///
        /// @throws RuntimeException if the one before could not be written
        void save(RunState state);

        /// What is asked from outside: to save, or to save and stop.
        RunControl.Request request();

        /// Where this run could be taken up again, should it be lost now.
        default Optional<Path> lastGood() {
            return Optional.empty();
        }

        /// Puts weights and optimizer back to those of a checkpoint, or of the start where there is none.
        ///
        /// @param from where the run stands
        /// @return the state that goes with them
        default RunState rollBack(RunState from) {
            throw new UnsupportedOperationException("this run keeps no checkpoints");
        }
    }

    /// @param loss the objective, summed over label rows
    /// @param guard says what to do about spikes of loss or gradient
    /// @param hooks evaluation and checkpoints
    /// @param listener hears every event
    /// @param world the ranks that train together; every one of them runs this loop, and decides as the
    ///     others do
    public TrainLoop(
            CausalLm model,
            LossFunction loss,
            AdamWOptimizer optimizer,
            Schedule schedule,
            StepPlan plan,
            TrainingSettings settings,
            SpikeGuard guard,
            Hooks hooks,
            RunListener listener,
            World world) {
        this.model = model;
        this.loss = loss;
        this.optimizer = optimizer;
        this.schedule = schedule;
        this.plan = plan;
        this.settings = settings;
        this.guard = guard;
        this.hooks = hooks;
        this.listener = listener;
        this.world = world;
        this.loads = new RankLoads(world);
        this.noise = new EmbeddingNoise(settings.neftuneNoiseAlpha(), settings.seed());
        this.totalSteps = totalSteps(settings, plan);
        this.recovery = new Recovery(hooks, listener, guard.settings().spikeLimit(), totalSteps, world);
    }

    /// Optimizer steps of a whole run: `max_steps`, or the epochs' steps rounded up.
    public static long totalSteps(TrainingSettings settings, StepPlan plan) {
        return settings.maxSteps() > 0 ? settings.maxSteps() : plan.steps(settings.numTrainEpochs());
    }

    /// Trains from a state to the last step.
    ///
    /// @param state [RunState#START], or what a checkpoint kept
    /// @return the state after the last step, or after the one at which the run ended early or was asked to stop
    /// @throws DivergedException if loss or gradient were not finite three steps in a row
    /// @throws RunLostException if there was no memory for an update
    public RunState run(RunState state) {
        Tensor lossSum = Scopes.keep(
                () -> Tensors.zeros(ScalarType.Float, model.parameters().device()));
        try {
            return run(state, new StepsAhead(plan, totalSteps), lossSum);
        } finally {
            Scopes.free(lossSum);
        }
    }

    /// @param lossSum () of the step at hand, on the model's device
    private RunState run(RunState state, StepsAhead steps, Tensor lossSum) {
        long lastLog = System.nanoTime();
        while (state.step() < totalSteps && !hooks.endsEarly()) {
            // 0. what is asked from outside is answered between two steps
            RunControl.Request request = hooks.request();
            if (request != RunControl.Request.NONE) {
                hooks.save(state);
            }
            if (request == RunControl.Request.STOP) {
                return state;
            }
            if (state.spikes().leftOut().contains(state.step())) {
                state = state.passed();
                lastLog += evaluateAndSave(state);
                continue;
            }

            // 1. the rows of this step: a function of the seed and the step's number, nothing else; this rank's part
            int microBatchTokens = state.microBatchTokens() > 0 ? state.microBatchTokens() : plan.microBatchTokens();
            Step step = steps.step(state.step(), microBatchTokens);

            // 2. gradients add up over micro-batches, then ranks; each loss is divided by the whole step's label tokens
            int mine = 0;
            try {
                forwardBackward(step, state.step(), lossSum);
            } catch (RuntimeException e) {
                mine = Recovery.tooLarge(step, e);
            }
            model.endStep();
            int tooLarge = (int) World.max(world.exchange(mine), 0);
            if (tooLarge > 0) {
                state = state.withMicroBatchTokens(recovery.smaller(tooLarge, state.step()));
                model.shrink();
                continue; // the same rows from the first one on: nothing was updated, and gradients begin anew
            }
            optimizer.reduce();

            // 3. clip once, on the whole gradient, and update; a loss or gradient that is not finite updates nothing.
            // Numbers are read while the device updates, unless the guard decides by them what to do
            recovery.updating(state.step(), () -> optimizer.measure(settings.maxGradNorm(), lossSum));
            if (!guard.decides()) {
                update(state, learningRate(state, state.spikes()));
            }
            AdamWOptimizer.Measured measured = optimizer.read();
            double loss = measured.lossSum() / step.labelTokens();
            SpikeGuard.Verdict verdict = guard.judge(state.spikes(), loss, measured.gradNorm());
            if (verdict.action() == SpikeGuard.Action.ROLL_BACK) {
                state = recovery.rollBack(state, verdict.why().orElse(""));
                lastLog = System.nanoTime();
                continue;
            }
            double learningRate = learningRate(state, verdict.after());
            if (guard.decides() && measured.finite() && verdict.action() == SpikeGuard.Action.UPDATE) {
                update(state, learningRate);
            }
            state = state.plus(
                    step.tokens(), step.labelTokens(), measured.lossSum(), measured.finite(), verdict.after());

            // 4. tell
            boolean lost = state.skipped() >= Recovery.MAX_SKIPPED;
            boolean log = state.step() % settings.loggingSteps() == 0 || state.step() == totalSteps || lost;
            listener.on(stepDone(state, measured.gradNorm(), learningRate, System.nanoTime() - lastLog, log));
            loads.trained(step);
            if (log) {
                loads.told(state.step()).ifPresent(listener::on);
            }
            if (verdict.why().isPresent()) {
                listener.on(SpikeGuard.alert(state.step(), verdict.why().get()));
            }
            if (!measured.finite()) {
                recovery.skipped(state, loss, measured.gradNorm());
            }
            if (log) {
                state = state.logged();
                lastLog = System.nanoTime();
            }

            // 5. evaluate and save when it is time; neither counts in tokens per second
            lastLog += evaluateAndSave(state);
        }
        return state;
    }

    private double learningRate(RunState state, SpikeState spikes) {
        return schedule.at(state.step()) * spikes.rateFactor();
    }

    private void update(RunState state, double learningRate) {
        recovery.updating(state.step(), () -> optimizer.update(learningRate));
    }

    /// @return the nanoseconds that it took
    private long evaluateAndSave(RunState state) {
        long began = System.nanoTime();
        if (isTime(settings.evalStrategy(), settings.evalEverySteps(), state.step()) && hooks.evaluates()) {
            listener.on(hooks.evaluate(state));
        }
        if (isTime(settings.saveStrategy(), settings.saveSteps(), state.step())) {
            hooks.save(state);
        }
        return System.nanoTime() - began;
    }

    /// Gradients of this rank's part of a step, from zero, and the summed loss of its label tokens.
    private void forwardBackward(Step step, long index, Tensor lossSum) {
        model.startStep(step.microBatches().size()); // none where there are fewer rows than ranks
        Scopes.run(lossSum::zero_);
        double scale = 1.0 / step.labelTokens();
        for (MicroBatch micro : step.microBatches()) {
            Scopes.run(() -> lossSum.add_(model.accumulate(upload(micro, index), loss, scale)));
        }
    }

    private PackedBatch upload(MicroBatch micro, long index) {
        PackedBatch batch = PackedBatch.of(
                micro.inputIds(),
                micro.targets(),
                micro.cuSeqlens(),
                model.parameters().device());
        return noise.on(batch, index, model.config().hiddenSize()).inStep(settings.seed(), index);
    }

    private RunEvent.StepDone stepDone(RunState state, double gradNorm, double learningRate, long nanos, boolean log) {
        RunState.SinceLog since = state.sinceLog();
        return new RunEvent.StepDone(
                state.step(),
                totalSteps,
                plan.epochAt(state.step()),
                since.lossSum() / since.labelTokens(),
                gradNorm,
                learningRate,
                since.tokens(),
                since.labelTokens(),
                nanos / 1e9,
                log ? Devices.peakBytes(model.parameters().device()) : 0,
                log);
    }

    /// Whether something recurring is due after this many steps; at the end of the run, everything is.
    private boolean isTime(IntervalStrategy strategy, int every, long step) {
        return switch (strategy) {
            case NO -> false;
            case STEPS -> step % every == 0 || step == totalSteps;
            case EPOCH -> plan.endsEpoch(step) || step == totalSteps;
        };
    }
}
