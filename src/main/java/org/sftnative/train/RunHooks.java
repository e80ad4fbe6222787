package org.sftnative.train;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.sftnative.data.Dataset;
import org.sftnative.data.StepPlan;
import org.sftnative.dist.World;
import org.sftnative.io.ModelWriter;
import org.sftnative.io.TensorSource;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LossFunction;
import org.sftnative.model.Parameters;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.TorchErrors;

/// What a run does between steps: it scores the evaluation rows, answers what is asked from outside,
/// and writes checkpoints from a copy, in the background. Of several ranks, each scores a part of the
/// rows, and rank 0 writes.
final class RunHooks implements TrainLoop.Hooks, AutoCloseable {
    private static final RunEvent.Evaluated NOT_YET = new RunEvent.Evaluated(-1, 0, Double.NaN, 0, 0);

    private final Trainee trainee;
    private final CausalLm model;
    private final LossFunction loss;
    private final AdamWOptimizer optimizer;
    private final Checkpoints checkpoints;
    private final OptimizerParts parts;
    private final StepPlan plan;
    private final Optional<Dataset> held;
    private final Samples samples;
    private final Control control;
    private final Origin origin;
    private final Optional<String> chatTemplate;
    private final RunListener listener;
    private final World world;
    private final ExecutorService writer = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("checkpoint").daemon().factory());
    private Optional<Snapshot> snapshot;
    private Optional<Future<RunEvent.Saved>> writing = Optional.empty();
    private Checkpoints.Best best;
    private Patience patience;
    private boolean sampling = true;
    private RunEvent.Evaluated evaluated = NOT_YET;
    private long savedStep;
    private long saves;
    private long savedNanos = System.nanoTime();

    /// How a run is steered.
    ///
    /// @param requests what is asked from outside
    /// @param output where it is asked
    /// @param saves whether checkpoints are to come
    /// @param saveEveryNanos most time between two checkpoints; 0: no limit
    /// @param metric by what evaluations are compared
    /// @param stopping when the run ends early
    record Control(
            RunControl requests,
            Path output,
            boolean saves,
            long saveEveryNanos,
            BestMetric metric,
            EarlyStopping stopping) {}

    /// Puts weights and optimizer back to where a run began.
    interface Origin {
        /// @param checkpoint a checkpoint; empty: whatever the run began with
        /// @return the state and the best evaluation that go with them
        Checkpoints.Restored restore(Optional<Path> checkpoint);
    }

    /// @param parts how the optimizer's state is written, and the ranks
    /// @param held rows to score
    /// @param samples asked at each evaluation
    /// @param origin where a rollback finds weights
    /// @param chatTemplate what is saved with the model instead of its own
    /// @param savedStep step of the checkpoint in the output directory that the run goes on from; 0:
    ///     none
    /// @param best among the checkpoints there
    /// @param patience of the evaluations so far
    RunHooks(
            Trainee trainee,
            CausalLm model,
            LossFunction loss,
            AdamWOptimizer optimizer,
            Checkpoints checkpoints,
            OptimizerParts parts,
            StepPlan plan,
            Optional<Dataset> held,
            Samples samples,
            Control control,
            Origin origin,
            Optional<String> chatTemplate,
            RunListener listener,
            long savedStep,
            Checkpoints.Best best,
            Patience patience) {
        this.trainee = trainee;
        this.model = model;
        this.loss = loss;
        this.optimizer = optimizer;
        this.checkpoints = checkpoints;
        this.parts = parts;
        this.world = parts.world();
        this.plan = plan;
        this.held = held;
        this.samples = samples;
        this.control = control;
        this.origin = origin;
        this.chatTemplate = chatTemplate;
        this.listener = listener;
        if (world.leads() && model.parameters().shared()) {
            CardMemory.checkGathering(
                    model.parameters().dtype().bytes()
                            * model.parameters().layout().numel(),
                    Devices.freeBytes(Devices.cpu()));
        }
        // taken now: what would have no room for it in an hour has none now
        this.snapshot = control.saves() && writes() ? Optional.of(newSnapshot()) : Optional.empty();
        this.savedStep = savedStep;
        this.best = best;
        this.patience = patience;
    }

    @Override
    public boolean evaluates() {
        return held.isPresent();
    }

    @Override
    public RunEvent.Evaluated evaluate(RunState state) {
        int tokens = state.microBatchTokens() > 0 ? state.microBatchTokens() : plan.microBatchTokens();
        Evaluator all = new Evaluator(StepPlan.evaluation(held.orElseThrow(), tokens));
        Evaluator.Score score = score(all.part(world));
        evaluated = new RunEvent.Evaluated(
                state.step(), plan.epochAt(state.step()), score.loss(), score.labelTokens(), score.seconds());
        patience = control.stopping().after(patience, evaluated);
        sample(state.step());
        return evaluated;
    }

    /// Whether evaluations have not improved for too long.
    @Override
    public boolean endsEarly() {
        return control.stopping().isDue(patience);
    }

    /// Why the run ends early.
    String whyEarly() {
        return control.stopping().why(patience);
    }

    /// Answers are for whoever looks on: no run is lost for them.
    private void sample(long step) {
        try {
            if (sampling && world.leads()) {
                samples.ask(model, step, listener);
            }
        } catch (RuntimeException e) {
            if (!TorchErrors.isOutOfMemory(e)) {
                throw e;
            }
            sampling = false;
            model.shrink();
            model.endScoring();
            listener.on(new RunEvent.Warned("no memory to let the model answer: the report gets no more samples"));
        }
        while (model.startScoring(0)) { // on rank 0 there is nothing to follow any more
            model.endScoring();
        }
    }

    /// Of all ranks, each of which scores a part. The score does not depend on the micro-batches: where memory runs
    /// out on any rank, smaller ones will do there.
    private Evaluator.Score score(Evaluator part) {
        Evaluator again = part;
        Evaluator.Score mine = new Evaluator.Score(0, 0, 0);
        model.startScoring(part.batches().size());
        try {
            mine = part.score(model, loss);
        } catch (RuntimeException e) {
            again = (TorchErrors.isOutOfMemory(e) ? part.halved() : Optional.<Evaluator>empty()).orElseThrow(() -> e);
            model.shrink();
        }
        model.endScoring();
        double[][] all = world.exchange(mine.lossSum(), mine.labelTokens(), again == part ? 0 : 1);
        return World.max(all, 2) > 0
                ? score(again)
                : new Evaluator.Score(World.sum(all, 0), (long) World.sum(all, 1), mine.seconds());
    }

    @Override
    public RunControl.Request request() {
        model.warning().ifPresent(what -> listener.on(new RunEvent.Warned(what)));
        if (writing.filter(Future::isDone).isPresent()) {
            await();
        }
        RunControl.Request asked =
                control.requests().request(world.leads() ? Optional.of(control.output()) : Optional.empty());
        boolean late = control.saveEveryNanos() > 0 && System.nanoTime() - savedNanos > control.saveEveryNanos();
        if (asked == RunControl.Request.NONE && late && world.leads()) {
            asked = RunControl.Request.SAVE;
        }
        // whichever rank is asked, all answer at the same step
        return RunControl.Request.values()[(int) World.max(world.exchange(asked.ordinal()), 0)];
    }

    /// Takes a copy, and returns while it is being written. A checkpoint that could not be written is told at the
    /// next step, or at the end.
    @Override
    public void save(RunState state) {
        if (state.step() == savedStep) {
            return; // it is there already, or there is nothing yet
        }
        await();
        double value = control.metric().of(evaluated);
        if (evaluated.step() == state.step() && control.metric().better(value, best)) {
            best = new Checkpoints.Best(state.step(), control.metric().name(), value);
        }
        savedStep = state.step();
        savedNanos = System.nanoTime();
        long save = ++saves;
        if (!writes()) {
            return;
        }
        Snapshot copy = snapshot.orElseGet(this::newSnapshot);
        snapshot = Optional.of(copy);
        copy.take(model.parameters(), optimizer.state());
        if (!world.leads()) {
            writing = Optional.of(writer.submit(() -> {
                parts.follow(save, copy.optimizer());
                return new RunEvent.Saved(state.step(), control.output(), 0); // nobody hears it on this rank
            }));
            return;
        }
        Checkpoints.Content content = new Checkpoints.Content(
                save,
                state,
                plan.epochAt(state.step()),
                copy.optimizer(),
                optimizer.steps(),
                best,
                patience,
                bytes(trainee.sources(copy.weights())));
        long began = savedNanos;
        writing = Optional.of(writer.submit(() -> {
            Path directory = checkpoints.save(content, path -> saveModel(path, copy.weights()));
            return new RunEvent.Saved(state.step(), directory, (System.nanoTime() - began) / 1e9);
        }));
    }

    /// Whether this rank has a part in writing checkpoints.
    private boolean writes() {
        return world.leads() || parts.sharded();
    }

    private Snapshot newSnapshot() {
        return new Snapshot(model.parameters(), optimizer.state(), world.leads());
    }

    /// Waits for the checkpoint that is being written, if one is, and tells of it.
    void await() {
        if (writing.isEmpty()) {
            return;
        }
        Future<RunEvent.Saved> last = writing.get();
        writing = Optional.empty();
        try {
            listener.on(last.get());
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a checkpoint was written", e);
        }
    }

    @Override
    public Optional<Path> lastGood() {
        try {
            await();
        } catch (RuntimeException e) {
            // it was not written: the one before is
        }
        return checkpoints.toGoBackTo(Long.MAX_VALUE, -1);
    }

    @Override
    public RunState rollBack(RunState from) {
        await();
        String found = world.leads()
                ? checkpoints
                        .toGoBackTo(from.step(), from.spikes().rolledBackTo())
                        .map(Path::toString)
                        .orElse("")
                : "";
        Optional<Path> to =
                Optional.of(world.first(found)).filter(path -> !path.isEmpty()).map(Path::of);
        Checkpoints.Restored restored = origin.restore(to);
        savedStep = to.isPresent() ? restored.state().step() : 0;
        best = restored.best();
        patience = restored.patience();
        evaluated = NOT_YET;
        return restored.state();
    }

    /// Finds out now what would make the first save fail.
    void tryOut() {
        if (control.saves() && world.leads()) {
            checkpoints.tryOut(trainee.sources(snapshot.orElseThrow().weights()), optimizer.state());
        }
    }

    /// The best evaluation among the checkpoints.
    Checkpoints.Best best() {
        return best;
    }

    /// Writes the model as a directory that can be used, in the dtype that it was trained in. Where ranks share the
    /// weights out it is a meeting.
    void saveModel(Path directory) {
        Parameters weights = model.parameters();
        if (weights.shared()) {
            snapshot = snapshot.or(() -> Optional.of(new Snapshot(weights, Map.of(), world.leads())));
            snapshot.get().take(weights, optimizer.state());
        }
        if (world.leads()) {
            saveModel(directory, weights.shared() ? snapshot.orElseThrow().weights() : weights);
        }
    }

    private void saveModel(Path directory, Parameters weights) {
        trainee.save(directory, weights);
        chatTemplate.ifPresent(template -> ModelWriter.saveChatTemplate(directory, template));
    }

    private static long bytes(List<TensorSource> tensors) {
        return tensors.stream().mapToLong(TensorSource::byteSize).sum();
    }

    /// Lets a write that has begun end: a failing run keeps its last checkpoint.
    @Override
    public void close() {
        writer.close();
        snapshot.ifPresent(Snapshot::close);
    }
}
