package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.support.InMemory;
import org.sftnative.tune.Asha;
import org.sftnative.tune.Mode;
import org.sftnative.tune.RandomSearcher;
import org.sftnative.tune.SearchSpace;
import org.sftnative.tune.TimeAttribute;
import org.sftnative.tune.TrialState;

/// A worker in this process, with `fake-train.sh` as its trials.
class StudyWorkerTest {
    private static final List<String> CRASH = List.of("sh", "-c", "echo 'error: no room'; kill -9 $$");

    @TempDir(factory = InMemory.class)
    Path dir;

    @Test
    void aCrashTakesOneTrialWhichIsTriedOnceMore() throws Exception {
        List<String> started = new ArrayList<>();
        TrialProcess.Launcher launcher = settings -> {
            String trial = settings.getParent().getFileName().toString();
            started.add(trial);
            boolean crashes = trial.equals("trial-0001")
                    || trial.equals("trial-0002")
                            && !started.subList(0, started.size() - 1).contains(trial);
            return crashes ? CRASH : FakeTrials.command(settings);
        };
        FakeTrials.Said said = new FakeTrials.Said();
        try (Study study = FakeTrials.begin(
                dir.resolve("out"), FakeTrials.SPACE, Map.of("num_samples", "4", "scheduler", "none"))) {
            assertTrue(study.work(
                    FakeTrials.settings(dir.resolve("out"), Map.of()),
                    new Study.Place(Slots.of(1), 0, launcher),
                    said,
                    _ -> {}));
            StudyResults results = study.results();
            assertEquals("4 of 4 trials: 3 completed, 1 failed", results.summary());
            TrialRow failed = results.rows().get(1);
            assertEquals(TrialState.FAILED, failed.state());
            assertEquals("killed by signal 9 (out of memory?): error: no room", failed.why());
            assertEquals(2, failed.crashes());
            assertEquals(1, results.rows().get(2).crashes());
            assertEquals(2, started.stream().filter("trial-0001"::equals).count());
            assertTrue(
                    said.lines.getFirst().startsWith("trial-0001 crashed and is tried again: "), said.lines::toString);
            // the best model is kept, the others' are not
            int best = results.best().orElseThrow().number();
            for (int trial = 0; trial < 4; trial++) {
                Path weights = dir.resolve("out/trial-000" + trial + "/model.safetensors");
                assertEquals(trial == best, Files.exists(weights), weights::toString);
            }
        }
    }

    @Test
    void aWorkerThatIsAskedToStopGivesItsTrialsBackAndTheyGoOnFromTheirCheckpoints() throws Exception {
        Path out = dir.resolve("out");
        Map<String, String> more = Map.of("num_samples", "1", "scheduler", "none");
        String space = "learning_rate: 1e-4\nnum_train_epochs: 30\n";
        TrialProcess.Launcher slow = settings -> slow(settings, "0.1");
        try (Study study = FakeTrials.begin(out, space, more)) {
            boolean finished = study.work(
                    FakeTrials.settings(out, more),
                    new Study.Place(Slots.of(1), 0, slow),
                    new FakeTrials.Said(),
                    stop -> Thread.ofVirtual().start(() -> {
                        await(out.resolve("trial-0000/checkpoint-3"));
                        stop.run();
                    }));
            assertFalse(finished);
            TrialRow row = study.results().rows().getFirst();
            assertEquals(TrialState.WAITING, row.state());
            assertEquals(0, row.crashes());
            assertTrue(
                    row.reports().size() >= 2 && row.reports().size() < 30,
                    "" + row.reports().size());
        }
        try (Study study = FakeTrials.begin(out, space, more)) {
            assertTrue(FakeTrials.work(study, out, 1, more, new FakeTrials.Said()));
            assertEquals(30, study.results().rows().getFirst().reports().size());
            assertTrue(Files.readString(out.resolve("trial-0000/settings.yaml"))
                    .contains("resume_from_checkpoint: latest"));
        }
    }

    @Test
    void aWorkerThatStoodStillForLongerThanItsLeaseGoesOnWithTrialsThatNobodyTook() throws Exception {
        Path out = dir.resolve("out");
        Map<String, String> more = Map.of("num_samples", "1", "scheduler", "none", "lease", "2s");
        List<Path> started = new ArrayList<>();
        TrialProcess.Launcher slow = settings -> {
            started.add(settings);
            return slow(settings, "0.2");
        };
        FakeTrials.Said still = new FakeTrials.Said() {
            private boolean stood;

            @Override
            public void changed(StudyStore.Snapshot study) {
                if (!stood && !study.rows().isEmpty()) {
                    stood = true;
                    sleep(2500);
                }
            }
        };
        try (Study study = FakeTrials.begin(out, "learning_rate: 1e-4\nnum_train_epochs: 30\n", more)) {
            assertTrue(
                    study.work(FakeTrials.settings(out, more), new Study.Place(Slots.of(1), 0, slow), still, _ -> {}));
            assertEquals(List.of(), still.lines);
            assertEquals(1, started.size());
            assertEquals("1 of 1 trials: 1 completed", study.results().summary());
        }
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// Storage and decisions, beside trials of a second.
    @Test
    @Tag("slow")
    void storageAndSchedulerCostLessThanAHundredthOfTrialsOfASecond() throws Exception {
        int trials = 40;
        StudyDefinition definition = new StudyDefinition(
                new TreeMap<>(Map.of("model_name_or_path", List.of("none"), "train_file", List.of("none"))),
                new TreeMap<>(),
                "",
                "",
                new TreeMap<>(Map.of("metric", "eval_loss", "mode", "min")),
                dir.toString(),
                dir.toString());
        SearchSpace space = SearchSpace.parse("learning_rate: loguniform(1e-5, 1e-2)\nnum_train_epochs: 2\n", "space");
        String url = "jdbc:sqlite:" + dir.resolve("study.db");
        try (Database db = new Database(url, 10)) {
            new Studies(db).definition("s");
            new Studies(db).create("s", definition, trials);
        }
        try (StudyStore store = new StudyStore(
                new Database(url, 10),
                "s",
                new RandomSearcher(space, 1),
                () -> new Asha(Asha.Settings.of(Mode.MIN, 100), 1),
                60_000,
                UnaryOperator.identity())) {
            StudyWorker worker = new StudyWorker(
                    store,
                    new TrialFiles(dir, definition),
                    settings -> slow(settings, "0.5"),
                    Slots.of(2),
                    new StudyWorker.Options("eval_loss", TimeAttribute.EPOCH, 0, 60_000, 10_000, 10, false),
                    new FakeTrials.Said());
            assertTrue(worker.run());
            double part = worker.storageNanos() / 1e9 / trials;
            System.out.printf("storage and scheduler: %.2f%% of %d trials of 1 s%n", 100 * part, trials);
            assertTrue(part < 0.01, part + " of a trial");
        }
    }

    private static List<String> slow(Path settings, String seconds) {
        List<String> command = new ArrayList<>(List.of("env", "FAKE_SECONDS=" + seconds));
        command.addAll(FakeTrials.command(settings));
        return command;
    }

    private static void await(Path path) {
        for (int i = 0; i < 600 && !Files.exists(path); i++) {
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                return;
            }
        }
    }
}
