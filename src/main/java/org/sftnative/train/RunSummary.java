package org.sftnative.train;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.TrainingSettings;
import org.sftnative.data.Dataset;
import org.sftnative.data.StepPlan;
import org.sftnative.data.StepShape;
import org.sftnative.data.TrainingData;
import org.sftnative.dist.World;
import org.sftnative.metrics.Units;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LlamaEngine;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Torch;

/// What a run says of itself before its first step.
final class RunSummary {
    private RunSummary() {}

    /// What was decided, each with its reason: the start of every run's output.
    static Map<String, String> of(
            RunSettings settings,
            ComputePlan compute,
            TrainingData data,
            StepPlan plan,
            Optional<Path> checkpoint,
            World world) {
        Map<String, String> summary = new LinkedHashMap<>();
        LoadedModel loaded = compute.loaded();
        TrainingSettings training = settings.training();
        summary.put(
                "model",
                settings.model().modelNameOrPath() + " (" + loaded.config().modelType() + ", "
                        + ParameterLayout.of(loaded.config()).parameterCount() + " parameters)");
        if (compute.adapters().isEmpty()) {
            long all = ParameterLayout.of(loaded.config()).parameterCount();
            summary.put("trained", "all " + Units.count(all) + " parameters");
        }
        summary.put("device", Devices.name(loaded.device()) + " (" + Torch.threads() + " CPU threads)");
        if (!world.describe().isEmpty()) {
            summary.put("ranks", world.describe());
        }
        summary.put(
                "precision",
                loaded.precision()
                        + (settings.model().precision() == loaded.precision()
                                ? ""
                                : " (device " + Devices.name(loaded.device()) + ")"));
        summary.putAll(compute.said());
        summary.put("train rows", rows(data.train(), settings.encoding().overlong()));
        List<Integer> taken = plan.taken();
        for (int i = 0; i < taken.size(); i++) {
            Dataset.Mix mix = data.train().mixes().get(i);
            summary.put(
                    "mixed in",
                    summary.getOrDefault("mixed in", "") + (i == 0 ? "" : ", ") + mix.file() + " " + mix.share() + " ("
                            + taken.get(i) + " documents an epoch)");
        }
        data.eval()
                .ifPresent(eval ->
                        summary.put("eval rows", rows(eval, settings.encoding().overlong())));
        data.eval()
                .map(eval -> eval.report().shared())
                .filter(shared -> shared > 0)
                .ifPresent(shared -> summary.put("careful", shared + " of the eval rows are trained too"));
        if (!data.bad().isEmpty()) {
            summary.put(
                    "broken rows",
                    data.bad().size() + " skipped, the first: " + data.bad().getFirst());
        }
        summary.put("loss on", lossOn(settings.encoding()));
        summary.put("step", step(settings, plan, world.size()));
        summary.put("steps", TrainLoop.totalSteps(training, plan) + steps(training));
        Map<String, String> changed = SettingsSchema.of(RunSettings.class).changed(settings);
        if (!changed.isEmpty()) {
            summary.put(
                    "settings",
                    changed.entrySet().stream()
                            .map(e -> e.getKey() + " " + e.getValue())
                            .collect(Collectors.joining(", ")));
        }
        checkpoint.ifPresent(path -> summary.put("resumed from", path.toString()));
        return summary;
    }

    private static String steps(TrainingSettings training) {
        return training.maxSteps() > 0
                ? " (max_steps)"
                : String.format(Locale.ROOT, " (%.3g epochs)", training.numTrainEpochs());
    }

    /// Bytes of what lives as long as the run.
    static String memory(ComputePlan compute, CausalLm model, AdamWOptimizer optimizer) {
        Parameters weights = model.parameters();
        long bytes = weights.weightBytes();
        long state =
                optimizer.state().values().stream().mapToLong(Tensor::nbytes).sum();
        long gradients = weights.gradientBytes();
        return "trained weights " + Units.bytes(bytes) + ", gradients " + Units.bytes(gradients) + ", optimizer "
                + Units.bytes(state)
                + optimizer
                        .bufferBytes()
                        .map(here -> " on the host, " + Units.bytes(here) + " at a time here")
                        .orElse("")
                + activations(compute) + inHost(compute);
    }

    private static String activations(ComputePlan compute) {
        if (!compute.fused() || compute.adapters().isPresent()) {
            return "";
        }
        LoadedModel loaded = compute.loaded();
        return ", activations "
                + Units.bytes(LlamaEngine.plannedBytes(
                        loaded.config(),
                        compute.recompute(),
                        loaded.dtype(),
                        loaded.device(),
                        compute.microBatchTokens()))
                + " for " + compute.microBatchTokens() + " tokens";
    }

    /// What is not on the device.
    private static String inHost(ComputePlan compute) {
        LoadedModel loaded = compute.loaded();
        long bytes = LlamaEngine.plannedHostBytes(
                loaded.config(), compute.recompute(), loaded.dtype(), compute.microBatchTokens());
        return bytes == 0
                ? ""
                : ", inputs of blocks in " + Units.bytes(bytes) + " of "
                        + (Devices.isCuda(loaded.device()) ? "pinned " : "") + "host memory";
    }

    private static String step(RunSettings settings, StepPlan plan, int ranks) {
        TrainingSettings training = settings.training();
        StepShape shape = plan.shape();
        StringBuilder step = new StringBuilder(shape.toString());
        if (shape.tokens() == 0) {
            step.append(" (" + training.perDeviceTrainBatchSize() + " x " + training.gradientAccumulationSteps()
                    + (ranks > 1 ? " x " + ranks + " ranks" : "") + ")");
        }
        step.append(", " + plan.stepsIn(0) + " steps an epoch");
        if (shape.packLength() > 0) {
            step.append(String.format(
                    Locale.ROOT,
                    ", packed into %d sequences, %.1f%% full",
                    plan.packsIn(0),
                    100 * (double) plan.tokensIn(0) / plan.packsIn(0) / shape.packLength()));
        }
        return step.toString();
    }

    private static String lossOn(EncodingSettings data) {
        String turns = switch (data.trainOn()) {
            case ALL -> "responses, of conversations everything,";
            case ASSISTANT -> "responses and assistant's turns";
            case LAST_TURN -> "responses and the assistant's last turns";
        };
        return (data.trainOnPrompt() ? "every token" : turns) + (data.appendEos() ? " and their EOS" : ", no EOS");
    }

    private static String rows(Dataset dataset, OverlongChoice choice) {
        String overlong = switch (choice) {
            case DROP -> "left out as too long";
            case SPLIT -> "split";
            case TRUNCATE, ERROR -> "cut off";
        };
        Dataset.Report report = dataset.report();
        return report.rows() + " (" + report.tokens() + " tokens, " + report.labelTokens() + " trained, "
                + report.truncated() + " " + overlong + ", "
                + (report.duplicates() > 0 ? report.duplicates() + " duplicates, " : "")
                + dropped(report) + ")";
    }

    /// How many rows were dropped, and which: the first five.
    private static String dropped(Dataset.Report report) {
        List<Dataset.Dropped> dropped = report.dropped();
        String which = dropped.stream()
                .limit(5)
                .map(d -> d.file().getFileName() + " row " + d.row())
                .collect(Collectors.joining(", "));
        return dropped.size() + " dropped without a label"
                + (dropped.isEmpty() ? "" : ": " + which + (dropped.size() > 5 ? ", ..." : ""));
    }
}
