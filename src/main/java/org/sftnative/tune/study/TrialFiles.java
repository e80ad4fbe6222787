package org.sftnative.tune.study;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsPrinter;
import org.sftnative.config.SettingsSchema;
import org.sftnative.io.AtomicFiles;

/// What lies in a study's directory: `trial-0007/`, the output directory of a run with its `settings.yaml` and
/// `log.txt`, and `best.yaml`.
///
/// @param output the study's directory
/// @param definition of the study
record TrialFiles(Path output, StudyDefinition definition) {
    private static final SettingsSchema<RunSettings> TRAIN = SettingsSchema.of(RunSettings.class);

    Path directory(int trial) {
        return output.resolve(TrialRow.name(trial));
    }

    Path metrics(int trial) {
        return directory(trial).resolve("metrics.jsonl");
    }

    Path log(int trial) {
        return directory(trial).resolve("log.txt");
    }

    /// Writes the settings of a trial's next process.
    ///
    /// @param threads of the process; 0: as the study's settings say
    Path prepare(Lease lease, int threads) {
        Path directory = directory(lease.trial());
        try {
            Files.createDirectories(directory);
            Files.deleteIfExists(directory.resolve("stop")); // asked of the process before
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " cannot be written: " + e.getMessage(), e);
        }
        List<SettingValue> own = new ArrayList<>();
        own.add(given("output_dir", directory.toString()));
        if (checkpoint(lease.trial()).isPresent()) {
            own.add(given("resume_from_checkpoint", "latest"));
        } else {
            own.add(given("overwrite_output_dir", "true"));
        }
        if (threads > 0) {
            own.add(given("threads", "" + threads));
        }
        Path file = directory.resolve("settings.yaml");
        AtomicFiles.writeText(file, SettingsPrinter.yaml(TRAIN, settings(lease.values(), own)));
        return file;
    }

    /// Refuses values that no run would take.
    ///
    /// @throws org.sftnative.InputException naming the setting
    void check(Map<String, Object> values) {
        TRAIN.bind(settings(values, List.of(given("output_dir", output.toString()))));
    }

    /// The settings of some trial as this process may read them, wherever it runs.
    ResolvedSettings sample(Map<String, Object> values) {
        List<SettingValue> own = new ArrayList<>(List.of(given("output_dir", output.toString())));
        Optional.ofNullable(values.get("model_name_or_path"))
                .map(Object::toString)
                .or(() -> Optional.ofNullable(definition.run().get("model_name_or_path"))
                        .map(List::getFirst))
                .map(Path.of(definition.directory())::resolve)
                .filter(Files::isDirectory) // else one of the Hub
                .ifPresent(model -> own.add(given("model_name_or_path", model.toString())));
        return settings(values, own);
    }

    /// The newest checkpoint of a trial.
    Optional<Path> checkpoint(int trial) {
        return entries(directory(trial)).stream()
                .filter(p -> p.getFileName().toString().matches("checkpoint-\\d+"))
                .max(Comparator.comparingLong(
                        p -> Long.parseLong(p.getFileName().toString().substring("checkpoint-".length()))));
    }

    /// Where the trained model of a trial is: its directory if it came to its end, else its newest checkpoint.
    Optional<Path> model(int trial) {
        Path whole = directory(trial);
        boolean saved =
                entries(whole).stream().anyMatch(p -> p.getFileName().toString().endsWith(".safetensors"));
        return saved ? Optional.of(whole) : checkpoint(trial);
    }

    /// Writes `best.yaml`: what `train --config` takes to train the best trial's settings again, to the end.
    Path writeBest(TrialRow best) {
        Path file = output.resolve("best.yaml");
        String why = "# " + best.name() + " of the study in " + output + ": "
                + definition.search().get("metric") + " " + best.value().orElse(Double.NaN) + "\n";
        ResolvedSettings settings = settings(
                best.values(),
                List.of(given("output_dir", output.resolve("best").toString())));
        AtomicFiles.writeText(file, why + SettingsPrinter.yaml(TRAIN, settings));
        return file;
    }

    /// Removes the weights of a trial, and leaves its settings, metrics and log.
    void removeWeights(int trial) {
        for (Path path : entries(directory(trial))) {
            String name = path.getFileName().toString();
            if (name.matches("checkpoint-\\d+|\\.checkpoint-.*|.*\\.safetensors(\\.index\\.json)?|\\..*\\.tmp-.*")) {
                delete(path);
            }
        }
    }

    private ResolvedSettings settings(Map<String, Object> values, List<SettingValue> own) {
        List<SettingValue> shared = definition.run().entrySet().stream()
                .map(e -> new SettingValue(e.getKey(), e.getValue(), "--config"))
                .filter(value -> own.stream().noneMatch(o -> same(o, value)))
                .toList();
        List<SettingValue> chosen = values.entrySet().stream()
                .map(e -> new SettingValue(e.getKey(), texts(e.getValue()), "chosen"))
                .toList();
        return TRAIN.resolve(shared, chosen, own);
    }

    private static boolean same(SettingValue a, SettingValue b) {
        return TRAIN.find(a.name()).equals(TRAIN.find(b.name()));
    }

    private static SettingValue given(String name, String text) {
        return new SettingValue(name, List.of(text), "tune");
    }

    static List<String> texts(Object value) {
        return value instanceof List<?> list
                ? list.stream().map(Object::toString).toList()
                : List.of(value.toString());
    }

    private static List<Path> entries(Path directory) {
        try (Stream<Path> all = Files.list(directory)) {
            return all.toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static void delete(Path tree) {
        try (Stream<Path> all = Files.walk(tree)) {
            for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        } catch (NoSuchFileException e) {
            // another worker removes it too
        } catch (IOException e) {
            throw new UncheckedIOException(tree + " cannot be removed: " + e.getMessage(), e);
        }
    }
}
