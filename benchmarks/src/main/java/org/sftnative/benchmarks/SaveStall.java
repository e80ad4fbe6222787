package org.sftnative.benchmarks;

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.RunEvent;
import org.sftnative.train.Training;

/// How long a save keeps training waiting, beside a step: a real run, with a checkpoint after its third step.
/// The time between two events of the loop, less what the loop says the step took, is what it stood still for.
///
///     java -cp benchmarks/target/benchmarks.jar org.sftnative.benchmarks.SaveStall MODEL ROWS OUT [setting=value ...]
///
/// MODEL is a directory of the shape in question (`sft-native init` makes one), OUT must not exist.
public final class SaveStall {
    private static final int STEPS = 6;
    private static final int SAVED = 3;

    private SaveStall() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> settings = new HashMap<>(Map.of(
                "model_name_or_path",
                args[0],
                "train_file",
                args[1],
                "output_dir",
                args[2],
                "max_steps",
                "" + STEPS,
                "save_steps",
                "" + SAVED,
                "logging_steps",
                "1"));
        for (String more : List.of(args).subList(3, args.length)) {
            settings.put(more.split("=", 2)[0], more.split("=", 2)[1]);
        }
        List<Double> steps = new ArrayList<>();
        List<Double> stalls = new ArrayList<>();
        double[] last = {0};
        Training.run(SettingsSchema.of(RunSettings.class).bind(settings), List.of(event -> {
            double now = System.nanoTime() / 1e9;
            if (event instanceof RunEvent.StepDone step) {
                if (last[0] > 0) {
                    steps.add(step.seconds());
                    stalls.add(now - last[0] - step.seconds());
                }
                last[0] = now;
            } else if (event instanceof RunEvent.Saved saved) {
                System.out.printf(Locale.ROOT, "written in %.2f s, of %d bytes%n", saved.seconds(), bytes(saved));
            }
        }));
        double step = steps.stream().mapToDouble(s -> s).sorted().toArray()[steps.size() / 2];
        double stall = stalls.get(SAVED - 1); // between the events of the steps 3 and 4
        System.out.printf(Locale.ROOT, "steps %s s, median %.3f s%n", rounded(steps), step);
        System.out.printf(Locale.ROOT, "standstill %s s%n", rounded(stalls));
        System.out.printf(
                Locale.ROOT, "a save stalls training for %.3f s: %.1f%% of a step%n", stall, 100 * stall / step);
    }

    private static String rounded(List<Double> seconds) {
        return seconds.stream()
                .map(s -> String.format(Locale.ROOT, "%.3f", s))
                .toList()
                .toString();
    }

    private static long bytes(RunEvent.Saved saved) {
        try (var files = Files.walk(saved.directory())) {
            return files.filter(Files::isRegularFile)
                    .mapToLong(file -> file.toFile().length())
                    .sum();
        } catch (java.io.IOException e) {
            return 0;
        }
    }
}
