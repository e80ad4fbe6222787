package org.sftnative.tune.study;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.TuneSettings;

/// Studies whose trials are `fake-train.sh`, in this process or, by `main`, in one of its own.
final class FakeTrials {
    static final String SPACE = """
            learning_rate: loguniform(1e-5, 1e-2)
            num_train_epochs: choice([2, 4, 6])
            """;
    static final String GRID = """
            learning_rate: grid_search([1e-5, 3e-5, 1e-4, 3e-4, 1e-3])
            num_train_epochs: grid_search([2, 4, 6, 8])
            """;
    private static final Path SCRIPT = Path.of("src/test/resources/tune/fake-train.sh");

    private FakeTrials() {}

    /// Settings from texts by name; names in the map count as typed.
    static TuneSettings settings(Path output, Map<String, String> more) {
        Map<String, String> given = new HashMap<>(Map.of("output_dir", output.toString(), "resume", "true"));
        given.putAll(more);
        return SettingsSchema.of(TuneSettings.class).bind(given);
    }

    static Study begin(Path output, String space, Map<String, String> more) {
        List<SettingValue> run = List.of(
                new SettingValue("model_name_or_path", List.of("none"), "run.yaml:1"),
                new SettingValue("train_file", List.of("none"), "run.yaml:2"),
                new SettingValue("eval_file", List.of("none"), "run.yaml:3"));
        return Study.begin(settings(output, more), Optional.of(run), Optional.of(space), new HashSet<>(more.keySet()));
    }

    static List<String> command(Path settings) {
        return List.of("sh", SCRIPT.toAbsolutePath().toString(), settings.toString());
    }

    /// What a worker said.
    static class Said implements StudyWorker.Watcher {
        final List<String> lines = new ArrayList<>();

        @Override
        public void said(String line) {
            lines.add(line);
        }

        @Override
        public void changed(StudyStore.Snapshot study) {}
    }

    static boolean work(Study study, Path output, int concurrent, Map<String, String> more, Said said)
            throws InterruptedException {
        return study.work(
                settings(output, more),
                new Study.Place(Slots.of(concurrent), 0, FakeTrials::command),
                said,
                new AtomicReference<Runnable>()::set);
    }

    /// A whole study in this process.
    static StudyResults run(Path output, String space, Map<String, String> more) throws InterruptedException {
        try (Study study = begin(output, space, more)) {
            work(study, output, 1, more, new Said());
            return study.results();
        }
    }

    /// The log, as decisions: `trial 3 step 2 of 1.25: CONTINUE`, in its order.
    static List<String> decisions(StudyResults study) {
        return study.rows().stream()
                .flatMap(row -> row.reports().stream()
                        .map(r -> "trial " + row.number() + " " + row.values() + " step " + r.step() + " of "
                                + r.metric() + ": " + r.decision()))
                .toList();
    }

    /// `main OUTPUT SPACE_FILE CONCURRENT name=value ...`: begins the study, or goes on with it, or with `worker=true`
    /// joins it.
    public static void main(String[] args) throws IOException, InterruptedException {
        Path output = Path.of(args[0]);
        String space = Files.readString(Path.of(args[1]));
        int concurrent = Integer.parseInt(args[2]);
        Map<String, String> more = new HashMap<>();
        for (int i = 3; i < args.length; i++) {
            more.put(args[i].split("=", 2)[0], args[i].split("=", 2)[1]);
        }
        boolean worker = more.containsKey("worker");
        Said said = new Said();
        int status = 0;
        try (Study study = worker ? Study.join(settings(output, more)) : begin(output, space, more)) {
            status = work(study, output, concurrent, more, said) ? 0 : 3;
        } catch (StorageException e) {
            System.err.println("error: " + e.getMessage());
            status = 1;
        } finally {
            said.lines.forEach(System.err::println);
        }
        System.exit(status);
    }

    /// The same in a process of its own.
    static Process start(Path output, Path space, int concurrent, Path log, Map<String, String> more)
            throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                FakeTrials.class.getName(),
                output.toString(),
                space.toString(),
                "" + concurrent));
        more.forEach((name, value) -> command.add(name + "=" + value));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.environment().put("FAKE_SECONDS", "0.1");
        return builder.start();
    }
}
