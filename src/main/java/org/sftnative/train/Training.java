package org.sftnative.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.sftnative.InputException;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.IntervalStrategy;
import org.sftnative.config.LoraInit;
import org.sftnative.config.ModelSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.TrainingSettings;
import org.sftnative.data.ChatFormat;
import org.sftnative.data.Share;
import org.sftnative.data.StepPlan;
import org.sftnative.data.StepShape;
import org.sftnative.data.TrainingData;
import org.sftnative.dist.World;
import org.sftnative.io.Manifest;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LossFunction;
import org.sftnative.model.Parameters;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.optim.Schedule;
import org.sftnative.tensor.Devices;

/// A whole run, from settings to a fine-tuned model directory: opens what the settings name, builds the loop, runs it,
/// saves.
/// Everything that can be wrong with the input is found before the output directory is touched.
public final class Training {
    private Training() {}

    /// The run that the settings describe.
    ///
    /// @see #run(RunSettings, Recipe, List, RunControl)
    public static RunState run(RunSettings settings, List<RunListener> listeners) {
        return run(settings, Recipe.STANDARD, listeners);
    }

    /// The same with another recipe.
    ///
    /// @see #run(RunSettings, Recipe, List, RunControl)
    public static RunState run(RunSettings settings, Recipe recipe, List<RunListener> listeners) {
        return run(settings, recipe, listeners, new RunControl());
    }

    /// @see #run(RunSettings, Recipe, List, RunControl, World)
    public static RunState run(RunSettings settings, Recipe recipe, List<RunListener> listeners, RunControl requests) {
        return run(settings, recipe, listeners, requests, World.ALONE);
    }

    /// @param recipe what is minimised, and at which learning rates
    /// @param listeners hear the run's events on rank 0, in order; they stay open
    /// @param requests asks the run to save or stop
    /// @param world the ranks that train together, each of which calls this
    /// @return the state after the last step, or after the one at which the run was asked to stop
    /// @throws InputException if settings, model or rows are wrong, or another run uses the output
    ///     directory
    public static RunState run(
            RunSettings settings, Recipe recipe, List<RunListener> listeners, RunControl requests, World world) {
        Map<String, String> common =
                new TreeMap<>(SettingsSchema.of(RunSettings.class).changed(settings));
        common.put("output_dir", settings.training().outputDir().toString());
        world.agree("settings", common);
        if (world.size() > 1 && settings.lora().initLoraWeights() == LoraInit.PISSA) {
            throw new InputException(
                    "init_lora_weights pissa: each of several ranks would take singular values of its own"
                            + " out of the base\n  train on one, or begin otherwise");
        }
        RunSettings here = settings.with(Placing.of(settings.model(), world));
        RunState end = world.leads()
                ? leading(here, recipe, listeners, requests, world)
                : run(here, recipe, List.of(), requests, Optional.empty(), world);
        world.barrier(); // rank 0 has saved what there is to save
        return end;
    }

    /// On the rank that has the output directory.
    private static RunState leading(
            RunSettings settings, Recipe recipe, List<RunListener> listeners, RunControl requests, World world) {
        checkOutput(settings);
        OutputDirectory output = new OutputDirectory(settings.training().outputDir());
        if (!output.exists()) {
            return run(settings, recipe, listeners, requests, Optional.empty(), world); // made once all input is right
        }
        try (RunLock lock = RunLock.acquire(output.path())) {
            return run(settings, recipe, listeners, requests, Optional.of(lock), world);
        }
    }

    /// The checkpoint to go on from, as rank 0 finds it: on every rank the same.
    private static Optional<Checkpoints.Found> found(TrainingSettings training, World world) {
        if (training.resumeFromCheckpoint().isEmpty()) {
            return Optional.empty();
        }
        Optional<Checkpoints.Found> mine = world.leads()
                ? training.resumeFromCheckpoint().map(resume -> Checkpoints.find(training.outputDir(), resume))
                : Optional.empty();
        String path = world.first(mine.map(f -> f.directory().toString()).orElse(""));
        return mine.or(() -> Optional.of(new Checkpoints.Found(Path.of(path), List.of())));
    }

    private static RunState run(
            RunSettings settings,
            Recipe recipe,
            List<RunListener> listeners,
            RunControl requests,
            Optional<RunLock> held,
            World world) {
        TrainingSettings training = settings.training();
        long began = System.nanoTime();
        Optional<Checkpoints.Found> found = found(training, world);
        Optional<Path> checkpoint = found.map(Checkpoints.Found::directory);
        ModelSettings modelSettings = settings.model();
        try (LoadedModel loaded = LoadedModel.open(modelSettings)) {
            List<String> said = new ArrayList<>();
            TrainingData data = TrainingData.load(
                    settings.data(), settings.rows(), settings.encoding(), loaded.tokenizer(), said::add);
            data.train().checkVocabulary(loaded.config().vocabSize());
            data.eval().ifPresent(eval -> eval.checkVocabulary(loaded.config().vocabSize()));
            ComputePlan compute = ComputePlan.of(settings, loaded, Trainee.adapters(settings, loaded), world.size());
            int microBatchTokens = compute.microBatchTokens();
            StepShape shape =
                    StepShape.of(settings.data(), settings.encoding().maxLength(), training.rowsPerStep(world.size()));
            StepPlan plan = StepPlan.of(data.train(), settings.data(), shape, microBatchTokens, training.seed())
                    .of(new Share(world.rank(), world.size()));
            long total = TrainLoop.totalSteps(training, plan);
            RunIdentity identity = RunIdentity.of(settings, data, shape, total, loaded, compute);
            world.agree("files", identity.alike(data, loaded, compute));
            world.on(loaded.device());
            BestMetric metric = BestMetric.of(training);
            EarlyStopping stopping = new EarlyStopping(
                    metric,
                    settings.monitor().earlyStoppingPatience(),
                    settings.monitor().earlyStoppingThreshold());
            if (stopping.patience() > 0 && data.eval().isEmpty()) {
                throw new InputException("early_stopping_patience needs evaluation rows"
                        + "\n  give --eval-file, or keep some with --eval-fraction 0.1");
            }

            try (Trainee trainee = Trainee.of(settings, loaded, compute, checkpoint, world)) {
                if (!trainee.weights().shared()) {
                    world.broadcast(trainee.weights().flatWeights());
                }
                compute.makeGradients(trainee, world);
                try (AdamWOptimizer optimizer = compute.optimizer(settings, trainee, world);
                        CausalLm model = compute.model(trainee)) {
                    LossFunction loss = recipe.loss();
                    OptimizerParts parts = new OptimizerParts(
                            world,
                            compute.sharding().sharesOptimizer() && world.size() > 1,
                            settings.dist().ddpTimeout() * 1000L);
                    Checkpoints checkpoints = new Checkpoints(
                            training.outputDir(),
                            training.saveTotalLimit(),
                            identity,
                            RunIdentity.changeable(settings, compute, total),
                            parts);
                    optimizer.rehearse();
                    Checkpoints.Restored restored = checkpoint
                            .map(path -> checkpoints.restore(path, optimizer, training.allowChanged()))
                            .orElse(Checkpoints.Restored.ANEW);
                    RunState start = restored.state();
                    if (world.leads()) {
                        new OutputDirectory(training.outputDir()).create();
                    }
                    // checkpoints elsewhere are none of this directory's
                    boolean inPlace = checkpoint
                            .map(OutputDirectory::real)
                            .filter(path -> path.startsWith(OutputDirectory.real(training.outputDir())))
                            .isPresent();
                    RunListener listener = new Listeners(listeners);
                    try (RunLock _ =
                                    world.leads() ? held.orElseGet(() -> RunLock.acquire(training.outputDir())) : null;
                            RunHooks hooks = new RunHooks(
                                    trainee,
                                    model,
                                    loss,
                                    optimizer,
                                    checkpoints,
                                    parts,
                                    plan,
                                    data.eval(),
                                    Samples.of(
                                            settings.monitor().reportSamples(), data.eval(), microBatchTokens, loaded),
                                    new RunHooks.Control(
                                            requests,
                                            training.outputDir(),
                                            training.saveStrategy() != IntervalStrategy.NO,
                                            training.saveOnTimeNanos(),
                                            metric,
                                            stopping),
                                    back -> goBack(back.or(() -> checkpoint), trainee, optimizer, checkpoints),
                                    chatTemplate(settings.encoding(), loaded),
                                    listener,
                                    inPlace ? start.step() : 0,
                                    inPlace ? restored.best() : Checkpoints.Best.NONE,
                                    restored.patience())) {
                        List<String> old = List.of();
                        if (world.leads()) {
                            checkOutput(settings); // another run may have begun and ended before this one had the lock
                            checkpoints.clean(checkpoint.isEmpty());
                            old = requests.forgetOld(training.outputDir());
                        }
                        hooks.tryOut();
                        Map<String, String> summary = RunSummary.of(settings, compute, data, plan, checkpoint, world);
                        summary.put("row files", String.join("; ", said));
                        if (!restored.changed().isEmpty()) {
                            summary.put("changed since", restored.changed());
                        }
                        summary.put("memory", RunSummary.memory(compute, model, optimizer));
                        listener.on(new RunEvent.Started(
                                start.step(),
                                total,
                                summary,
                                ModelFlops.perToken(
                                        loaded.config(), compute.adapters().isPresent(), data.train()),
                                ModelFlops.peak(loaded.device())));
                        found.ifPresent(f -> f.passedOver().forEach(why -> listener.on(new RunEvent.Warned(why))));
                        old.forEach(name -> listener.on(
                                new RunEvent.Warned(training.outputDir().resolve(name)
                                        + " was there before this run, and is removed: touch it again to " + name)));
                        TrainLoop loop = new TrainLoop(
                                model,
                                loss,
                                optimizer,
                                recipe.rates().of(training, total),
                                plan,
                                training,
                                new SpikeGuard(settings.spikes()),
                                hooks,
                                listener,
                                world);
                        RunState end = loop.run(start);
                        hooks.await();
                        boolean early = hooks.endsEarly();
                        if (early) {
                            listener.on(new RunEvent.Warned("the run ends early, after step " + end.step() + " of "
                                    + total + ": " + hooks.whyEarly()));
                        }
                        if (end.step() < total && !early) {
                            listener.on(new RunEvent.Stopped(end.step(), total, training.outputDir()));
                            return end;
                        }
                        if (training.loadBestModelAtEnd()) {
                            loadBest(trainee, hooks.best(), training, listener, world);
                        }
                        hooks.saveModel(training.outputDir());
                        listener.on(new RunEvent.Finished(
                                end.step(),
                                end.tokens() - start.tokens(),
                                (System.nanoTime() - began) / 1e9,
                                end.meanLoss(),
                                Devices.peakBytes(loaded.device()),
                                training.outputDir()));
                        return end;
                    }
                }
            }
        }
    }

    /// Puts the weights of the best checkpoint in the place of the last ones.
    private static void loadBest(
            Trainee trainee, Checkpoints.Best best, TrainingSettings training, RunListener listener, World world) {
        if (best.step() == 0) {
            listener.on(new RunEvent.Warned("no checkpoint was evaluated: the last weights are kept"
                    + "\n  eval_strategy and save_strategy must meet at a step"));
            return;
        }
        Path directory = training.outputDir().resolve("checkpoint-" + best.step());
        String fault = world.first(world.leads() ? Manifest.fault(directory).orElse("") : "");
        if (!fault.isEmpty()) {
            listener.on(new RunEvent.Warned("the last weights are kept: " + directory + ", which is the best by "
                    + best.metric() + ", is damaged: " + fault));
            return;
        }
        if (world.leads() || trainee.weights().shared()) {
            trainee.goBack(Optional.of(directory));
        }
        listener.on(new RunEvent.Warned("the model is that of " + directory.getFileName() + ", which is the best by "
                + best.metric() + ": " + best.value()));
    }

    /// The learning rate of every step, as the settings say.
    static Schedule schedule(TrainingSettings training, long total) {
        double peak = training.learningRate();
        long warmup = training.warmupSteps(total);
        return switch (training.lrSchedulerType()) {
            case LINEAR -> Schedule.warmed(peak, warmup, total, Schedule.LINEAR);
            case COSINE -> Schedule.warmed(peak, warmup, total, Schedule.COSINE);
            case COSINE_WITH_MIN_LR -> Schedule.warmed(peak, warmup, total, Schedule.cosineTo(training.minLrRate()));
            case CONSTANT_WITH_WARMUP -> Schedule.warmed(peak, warmup, total, Schedule.CONSTANT);
            case CONSTANT -> step -> peak;
        };
    }

    /// The weights to start from: the model's, or those of the checkpoint that the run goes on from.
    ///
    /// @param sharing the ranks that share them out, if they do
    static Parameters weights(
            LoadedModel loaded, ModelSettings settings, Optional<Path> checkpoint, Optional<World> sharing) {
        if (checkpoint.isEmpty()) {
            return weights(loaded, sharing);
        }
        try (LoadedModel saved = LoadedModel.open(at(settings, checkpoint.get()))) {
            if (!saved.config().equals(loaded.config())) {
                throw new InputException(checkpoint.get() + " holds another model than " + loaded.path()
                        + ": their config.json differ\n  resume with the model that the run began with");
            }
            return weights(saved, sharing);
        }
    }

    private static Parameters weights(LoadedModel loaded, Optional<World> sharing) {
        return sharing.map(loaded::weights).orElseGet(loaded::weights);
    }

    /// Puts weights and optimizer back to a checkpoint's, or to what the run began with.
    private static Checkpoints.Restored goBack(
            Optional<Path> checkpoint, Trainee trainee, AdamWOptimizer optimizer, Checkpoints checkpoints) {
        trainee.goBack(checkpoint);
        if (checkpoint.isPresent()) {
            return checkpoints.restore(checkpoint.get(), optimizer, true);
        }
        optimizer.reset();
        return Checkpoints.Restored.ANEW;
    }

    private static ModelSettings at(ModelSettings settings, Path directory) {
        return new ModelSettings(directory, settings.device(), settings.precision(), settings.threads());
    }

    private static Optional<String> chatTemplate(EncodingSettings settings, LoadedModel loaded) {
        return ChatFormat.of(loaded.tokenizer(), settings.chatTemplate()).toSave();
    }

    /// Refuses an output directory that is in use, before anything is read or written.
    private static void checkOutput(RunSettings settings) {
        TrainingSettings training = settings.training();
        Path output = training.outputDir();
        OutputDirectory directory = new OutputDirectory(output);
        directory.checkApart(settings.model().modelNameOrPath());
        boolean goesOn = training.resumeFromCheckpoint()
                .filter(resume -> resume.equals(Checkpoints.LATEST)
                        || OutputDirectory.real(Path.of(resume)).startsWith(directory.real()))
                .isPresent();
        directory.check(
                training.overwriteOutputDir() || goesOn,
                "go on with --resume latest, or replace what is there with --overwrite-output-dir");
    }
}
