package org.sftnative.train;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.sftnative.config.DataSettings;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.config.RunSettings;
import org.sftnative.config.TrainingSettings;
import org.sftnative.data.Dataset;
import org.sftnative.data.StepShape;
import org.sftnative.data.TrainingData;

/// What a run must have in common with the one that it goes on from: another value of any of these would train
/// other steps than the ones that were to come.
///
/// @param rows training rows after dropping, with a hash of them
/// @param stepOf what an optimizer step is made of: rows, packed sequences, tokens
/// @param order what else decides the order of an epoch: shuffling, combination, mixed sets
/// @param seed of the order
/// @param totalSteps steps that the schedule was made for
/// @param precision of weights and arithmetic
/// @param trained all weights, or adapters over which frozen ones
record RunIdentity(
        String rows,
        String stepOf,
        String order,
        long seed,
        long totalSteps,
        PrecisionChoice precision,
        String trained) {
    static RunIdentity of(
            RunSettings settings,
            TrainingData data,
            StepShape shape,
            long total,
            LoadedModel loaded,
            ComputePlan compute) {
        return new RunIdentity(
                data.train().documents().size() + " (" + data.train().fingerprint() + ")",
                shape.toString(),
                order(settings.data(), data.train()),
                settings.training().seed(),
                total,
                loaded.precision(),
                compute.adapters()
                        .map(_ -> "adapters over " + loaded.frozenBase())
                        .orElse("all weights"));
    }

    /// What ranks must have alike beside their settings: rows, model, and what was decided by the
    /// machine.
    Map<String, String> alike(TrainingData data, LoadedModel loaded, ComputePlan compute) {
        return Map.of(
                "training rows",
                rows,
                "evaluation rows",
                data.eval().map(Dataset::fingerprint).orElse("none"),
                "model",
                loaded.frozenBase() + ", config.json "
                        + Integer.toHexString(loaded.configJson().toString().hashCode()),
                "precision",
                "" + precision,
                "moments",
                "" + compute.moments(),
                "engine",
                compute.fused() ? "fused" : "reference");
    }

    /// What a resumed run may do otherwise than before, if it says so.
    static SortedMap<String, String> changeable(RunSettings settings, ComputePlan compute, long total) {
        TrainingSettings t = settings.training();
        SortedMap<String, String> changeable = new TreeMap<>(Map.of(
                "learning_rate",
                "" + t.learningRate(),
                "lr_scheduler_type",
                "" + t.lrSchedulerType(),
                "weight_decay",
                "" + t.weightDecay(),
                "adam_beta1",
                "" + t.adamBeta1(),
                "adam_beta2",
                "" + t.adamBeta2(),
                "adam_epsilon",
                "" + t.adamEpsilon(),
                "max_grad_norm",
                "" + t.maxGradNorm(),
                "neftune_noise_alpha",
                "" + t.neftuneNoiseAlpha(),
                "engine",
                compute.fused() ? "fused" : "reference",
                Checkpoints.MICRO_BATCH,
                "" + compute.microBatchTokens()));
        changeable.put("spikes", settings.spikes().toString().replaceFirst("^\\w+", ""));
        changeable.put("warmup_steps", "" + t.warmupSteps(total));
        changeable.put("min_lr_rate", "" + t.minLrRate());
        changeable.put("masters", "" + compute.masters());
        compute.adapters().ifPresent(adapters -> {
            changeable.put("lora_dropout", "" + adapters.dropout());
            changeable.put("lora_plus_ratio", "" + settings.lora().loraPlusRatio());
        });
        return changeable;
    }

    /// What the order of an epoch depends on besides its seed.
    private static String order(DataSettings settings, Dataset rows) {
        return (settings.shuffle() ? "shuffled" : "unshuffled") + ", " + settings.combine()
                + (settings.dedup() ? ", deduplicated" : "")
                + rows.mixes().stream()
                        .map(mix -> ", mix " + mix.share() + " from document " + mix.first())
                        .collect(Collectors.joining());
    }

    /// What differs, a line each with both values; empty if nothing does.
    String differences(RunIdentity other) {
        Map<String, Object> theirs = other.byName();
        return byName().entrySet().stream()
                .filter(e -> !e.getValue().equals(theirs.get(e.getKey())))
                .map(e -> "\n  " + e.getKey() + ": " + e.getValue() + " there, " + theirs.get(e.getKey()) + " here")
                .collect(Collectors.joining());
    }

    private Map<String, Object> byName() {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("rows", rows);
        values.put("step of", stepOf);
        values.put("order", order);
        values.put("seed", seed);
        values.put("steps of the whole run", totalSteps);
        values.put("precision", precision);
        values.put("trained", trained);
        return values;
    }
}
