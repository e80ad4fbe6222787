package org.sftnative.tune.study;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.TuneSettings;
import org.sftnative.tune.Asha;
import org.sftnative.tune.SearchSpace;
import org.sftnative.tune.TimeAttribute;

/// A study, opened: to work on it, or to look at it.
public final class Study implements AutoCloseable {
    private static final SettingsSchema<RunSettings> TRAIN = SettingsSchema.of(RunSettings.class);
    private static final int LOOK_TIMEOUT_SECONDS = 10;

    private final StudyStore store;
    private final StudyDefinition definition;
    private final SearchSpace space;
    private final TrialFiles files;

    /// How a study is worked on, by this process.
    ///
    /// @param slots places for trials
    /// @param threads of a trial; 0: as its settings say
    /// @param command the command line that trains by a settings file
    public record Place(Slots slots, int threads, TrialProcess.Launcher command) {}

    private Study(Database db, String name, StudyDefinition definition, Path output, long leaseMs) {
        this.space = definition.parsedSpace();
        this.definition = definition;
        this.files = new TrialFiles(output, definition);
        this.store =
                new StudyStore(db, name, definition.searcher(space), definition::scheduler, leaseMs, space::canonical);
    }

    /// Begins a study, or goes on with it where `--resume` says so.
    ///
    /// @param run the settings that trials share; empty if `--config` is not given
    /// @param space the search space's text; empty if `--space` is not given
    /// @param typed names of the settings that were given, by which a study that goes on must abide
    /// @throws InputException if a setting is wrong, or the study is another one
    public static Study begin(
            TuneSettings settings, Optional<List<SettingValue>> run, Optional<String> space, Set<String> typed) {
        Path output = settings.outputDir().orElseThrow().toAbsolutePath().normalize();
        String name = settings.studyName().orElse("" + output.getFileName());
        Optional<StudyDefinition> given = run.isPresent() && space.isPresent()
                ? Optional.of(define(settings, run.get(), space.get(), output))
                : Optional.empty();
        Database db = new Database(settings.storage().orElse(sqlite(output)), timeoutSeconds(settings.leaseMs()));
        prepare(output, settings);
        Optional<StudyDefinition> there = patiently(settings, () -> new Studies(db).definition(name));
        if (there.isPresent() && !settings.resume()) {
            throw new InputException("there is a study '" + name + "' in " + db.shown()
                    + "\n  go on with it: --resume; or begin another: --output-dir, --study-name");
        }
        if (there.isPresent()) {
            StudyDefinition was = there.get();
            was.mustEqual(
                    run.map(r -> shared(r)).orElse(was.run()),
                    space.map(s -> SearchSpace.parse(s, "--space").canonical()).orElse(was.spaceMeaning()),
                    space.map(SpaceText::entries).orElse(was.space()),
                    searchOf(settings, was, typed));
        }
        StudyDefinition definition = there.or(() -> given)
                .orElseThrow(() -> new InputException("there is no study '" + name + "' in " + db.shown()
                        + "\n  begin it with --config and --space"));
        if (there.isEmpty()) {
            mustBeFree(output, "study\\.db.*");
        }
        int trials = definition.searcher(definition.parsedSpace()).trials(settings.numSamples());
        patiently(settings, () -> {
            if (there.isEmpty()) {
                new Studies(db).create(name, definition, trials);
                new Studies(db)
                        .definition(name)
                        .filter(definition::equals)
                        .orElseThrow(() -> new InputException("another process has begun a study '" + name + "' in "
                                + db.shown() + " meanwhile, and a different one\n  choose another --output-dir"));
            } else if (typed.contains("num_samples")) {
                new Studies(db).extend(name, trials);
            }
            return name;
        });
        return new Study(db, name, definition, output, settings.leaseMs());
    }

    /// Joins a study that another process began.
    ///
    /// @throws InputException if there is none, or several and none is named
    public static Study join(TuneSettings settings) {
        Database db = new Database(settings.storage().orElseThrow(), timeoutSeconds(settings.leaseMs()));
        String name = patiently(settings, () -> named(db, settings.studyName()));
        StudyDefinition definition =
                patiently(settings, () -> new Studies(db).definition(name)).orElseThrow(() -> missing(db, name));
        Path output = settings.outputDir().map(Path::toAbsolutePath).orElse(Path.of(definition.output()));
        try {
            Files.createDirectories(output);
        } catch (IOException e) {
            throw new InputException(
                    output + " cannot be made: " + e.getMessage() + "\n  name another place with --output-dir", e);
        }
        return new Study(db, name, definition, output, settings.leaseMs());
    }

    /// Opens a study to look at it.
    ///
    /// @param output its directory
    /// @throws InputException if there is none
    public static Study look(Path output, Optional<String> storage, Optional<String> studyName) {
        Path absolute = output.toAbsolutePath().normalize();
        if (storage.isEmpty() && !Files.isRegularFile(absolute.resolve("study.db"))) {
            throw new InputException(output + " has no study.db\n  give the --output-dir of a study, and its --storage"
                    + " if it is stored elsewhere");
        }
        Database db = new Database(storage.orElse(sqlite(absolute)), LOOK_TIMEOUT_SECONDS);
        String name = storage.isEmpty() ? named(db, studyName) : studyName.orElse("" + absolute.getFileName());
        StudyDefinition definition = new Studies(db).definition(name).orElseThrow(() -> missing(db, name));
        return new Study(db, name, definition, absolute, 60_000);
    }

    /// Works on the study until it is finished, or the worker is asked to stop.
    ///
    /// @param stopper gets what asks it to stop
    /// @return whether it is finished
    public boolean work(TuneSettings settings, Place place, StudyWorker.Watcher watcher, Consumer<Runnable> stopper)
            throws InterruptedException {
        StudyWorker worker = new StudyWorker(
                store,
                files,
                place.command(),
                place.slots(),
                new StudyWorker.Options(
                        definition.search().get("metric"),
                        TimeAttribute.valueOf(
                                definition.search().get("time_attr").toUpperCase(Locale.ROOT)),
                        place.threads(),
                        settings.leaseMs(),
                        settings.storageTimeoutMs(),
                        settings.stopGraceSeconds(),
                        settings.keepAll()),
                watcher);
        stopper.accept(worker::stop);
        return worker.run();
    }

    /// The study as it stands.
    public StudyResults results() {
        return results(store.snapshot());
    }

    /// A snapshot with all that follows from it.
    public StudyResults results(StudyStore.Snapshot snapshot) {
        return new StudyResults(definition, snapshot.trials(), snapshot.rows());
    }

    /// Whether trials have a setting of their own: shared by all, or of the space.
    public boolean sets(String name) {
        return definition.run().containsKey(name) || definition.space().containsKey(name);
    }

    /// Settings as trials may have them: those of the first ones of a random search.
    ///
    /// @param located gives models of the Hub their directories
    public List<RunSettings> samples(int trials, UnaryOperator<ResolvedSettings> located) {
        return IntStream.range(0, trials)
                .mapToObj(trial -> space.sample(0, trial))
                .map(values -> TRAIN.bind(located.apply(files.sample(values))))
                .toList();
    }

    /// Where a trained model is: the best trial's.
    public Optional<Path> model(int trial) {
        return files.model(trial);
    }

    /// The study's directory.
    public Path output() {
        return files.output();
    }

    @Override
    public void close() {
        store.close();
    }

    /// Rungs as they are now, if the scheduler has some.
    static List<Asha.RungView> rungs(StudyDefinition definition, List<TrialRow> rows) {
        if (!(definition.scheduler() instanceof Asha asha)) {
            return List.of();
        }
        // which reports a rung has does not depend on the order of trials, only what was decided
        for (TrialRow row : rows) {
            asha.on(new org.sftnative.tune.StudyEvent.TrialAdded(row.number(), row.bracket()));
            row.trial().reports().forEach(asha::on);
        }
        return asha.rungs();
    }

    private static StudyDefinition define(TuneSettings settings, List<SettingValue> run, String space, Path output) {
        SearchSpace parsed =
                SearchSpace.parse(space, settings.space().map(Path::toString).orElse("--space"));
        SettingValue where = new SettingValue("output_dir", List.of(output.toString()), "tune");
        List<SettingValue> base = run.stream().filter(v -> !isOutput(v)).toList();
        parsed.check(base, List.of(where));
        SortedMap<String, List<String>> shared = shared(run);
        if (settings.metric().startsWith("eval_")
                && Stream.of("eval_file", "eval_fraction")
                        .noneMatch(n -> shared.containsKey(n) || parsed.names().contains(n))) {
            throw new InputException("no trial would report '" + settings.metric() + "': there are no evaluation rows"
                    + "\n  set eval_file or eval_fraction in "
                    + settings.config().map(Path::toString).orElse("--config")
                    + ", or choose another --metric, such as loss");
        }
        StudyDefinition definition = new StudyDefinition(
                shared,
                SpaceText.entries(space),
                space,
                parsed.canonical(),
                search(settings),
                Path.of("").toAbsolutePath().toString(),
                output.toString());
        definition.searcher(parsed).trials(settings.numSamples()); // a space that it does not take is told in its lines
        return definition;
    }

    private static boolean isOutput(SettingValue value) {
        return TRAIN.find(value.name())
                .filter(f -> List.of("output_dir", "overwrite_output_dir", "resume_from_checkpoint")
                        .contains(f.name()))
                .isPresent();
    }

    /// What trials share; each has an output directory of its own.
    private static SortedMap<String, List<String>> shared(List<SettingValue> run) {
        TRAIN.resolve(run); // names and texts are right
        SortedMap<String, List<String>> shared = new TreeMap<>();
        run.stream()
                .filter(value -> !isOutput(value))
                .forEach(value ->
                        shared.put(TRAIN.find(value.name()).orElseThrow().name(), value.texts()));
        return shared;
    }

    private static SortedMap<String, String> search(TuneSettings s) {
        return new TreeMap<>(Map.ofEntries(
                Map.entry("metric", s.metric()),
                Map.entry("mode", "" + s.mode()),
                Map.entry("searcher", "" + s.searcher()),
                Map.entry("scheduler", "" + s.scheduler()),
                Map.entry("time_attr", "" + s.timeAttr()),
                Map.entry("grace_period", "" + s.gracePeriod()),
                Map.entry("reduction_factor", "" + s.reductionFactor()),
                Map.entry("max_t", "" + s.maxT()),
                Map.entry("brackets", "" + s.brackets()),
                Map.entry("stop_last_trials", "" + s.stopLastTrials()),
                Map.entry("seed", "" + s.seed())));
    }

    /// What was not typed is as it was.
    private static SortedMap<String, String> searchOf(TuneSettings settings, StudyDefinition was, Set<String> typed) {
        SortedMap<String, String> search = new TreeMap<>(was.search());
        search(settings).forEach((name, value) -> {
            if (typed.contains(name)) {
                search.put(name, value);
            }
        });
        return search;
    }

    private static void prepare(Path output, TuneSettings settings) {
        if (settings.storage().isEmpty() && !Files.exists(output.resolve("study.db"))) {
            mustBeFree(output, "");
        }
        try {
            Files.createDirectories(output);
        } catch (IOException e) {
            throw new InputException(
                    output + " cannot be made: " + e.getMessage() + "\n  choose another --output-dir", e);
        }
    }

    /// Where a study begins nothing may be: its trials would write over another's.
    private static void mustBeFree(Path output, String butFor) {
        if (!Files.isDirectory(output)) {
            return;
        }
        try (Stream<Path> entries = Files.list(output)) {
            if (entries.anyMatch(entry -> !entry.getFileName().toString().matches(butFor))) {
                throw new InputException(output + " is not empty, and has another study or none"
                        + "\n  choose another --output-dir; a study that goes on needs its --storage and --study-name");
            }
        } catch (IOException e) {
            throw new InputException(
                    output + " cannot be read: " + e.getMessage() + "\n  choose another --output-dir", e);
        }
    }

    private static String sqlite(Path output) {
        return "jdbc:sqlite:" + output.resolve("study.db");
    }

    /// An answer that takes longer than this would let leases end.
    private static int timeoutSeconds(long leaseMs) {
        return (int) Math.clamp(leaseMs / 4000, 1, 15);
    }

    private static String named(Database db, Optional<String> name) {
        List<String> names = new Studies(db).names();
        if (name.isEmpty() && names.size() != 1) {
            throw new InputException(db.shown() + " has "
                    + (names.isEmpty() ? "no study" : "studies " + String.join(", ", names)) + "\n  "
                    + (names.isEmpty() ? "begin one with tune --output-dir" : "choose one with --study-name"));
        }
        return name.orElseGet(names::getFirst);
    }

    private static InputException missing(Database db, String name) {
        return new InputException("there is no study '" + name + "' in " + db.shown() + "\n  there are "
                + String.join(", ", new Studies(db).names()));
    }

    private interface Asked<T> {
        T get();
    }

    /// Asks a storage until it answers, or has not for too long.
    private static <T> T patiently(TuneSettings settings, Asked<T> asked) {
        long began = System.nanoTime();
        List<String> tried = new ArrayList<>();
        while (true) {
            try {
                return asked.get();
            } catch (StorageException e) {
                tried.add(e.getMessage());
                if (System.nanoTime() - began > settings.storageTimeoutMs() * 1_000_000L) {
                    throw new InputException(
                            e.getMessage() + "\n  tried " + tried.size() + " times in "
                                    + (System.nanoTime() - began) / 1_000_000_000L
                                    + " s; is it running, and --storage right?",
                            e);
                }
                try {
                    Thread.sleep(Math.min(2000, 200L * tried.size()));
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    throw e;
                }
            }
        }
    }
}
