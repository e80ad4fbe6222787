package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.support.InMemory;

/// Which study a directory and a storage mean.
class StudyTest {
    private static final Map<String, String> FEW = Map.of("num_samples", "2", "scheduler", "none");

    @TempDir(factory = InMemory.class)
    Path dir;

    private String refusal(Path output, String space, Map<String, String> more) {
        return assertThrows(
                        InputException.class,
                        () -> FakeTrials.begin(output, space, more).close())
                .getMessage();
    }

    @Test
    void aSecondStudyInOneDirectoryIsRefused() throws Exception {
        Path out = dir.resolve("out");
        FakeTrials.run(out, FakeTrials.SPACE, FEW);
        String best = Files.readString(out.resolve("best.yaml"));
        // by another name in the same storage, and in another storage
        assertTrue(refusal(out, FakeTrials.SPACE, Map.of("study_name", "second"))
                .contains(" is not empty, and has another study or none"));
        assertTrue(refusal(out, FakeTrials.SPACE, Map.of("storage", "jdbc:sqlite:" + dir.resolve("other.db")))
                .contains(" is not empty, and has another study or none"));
        assertEquals(best, Files.readString(out.resolve("best.yaml")));
    }

    @Test
    void aDirectoryWithOtherThingsInItIsLeftAlone() throws Exception {
        Path out = Files.createDirectories(dir.resolve("out"));
        Files.writeString(out.resolve("precious.txt"), "x");
        for (String resume : List.of("true", "false")) {
            Map<String, String> given = Map.of("resume", resume, "config", "run.yaml", "space", "space.yaml");
            assertTrue(refusal(out, FakeTrials.SPACE, given).contains(" is not empty"), resume);
        }
        assertFalse(Files.exists(out.resolve("study.db")));
    }

    @Test
    void settingsThatDecideMustStayAndMoreTrialsMayBeAskedFor() throws Exception {
        Path out = dir.resolve("out");
        FakeTrials.run(out, FakeTrials.SPACE, FEW);
        String searched = refusal(out, FakeTrials.SPACE, Map.of("seed", "7", "scheduler", "median"));
        assertTrue(searched.contains("\n  scheduler was none, is median\n  seed was 42, is 7\n"), searched);
        String space = refusal(out, FakeTrials.SPACE.replace("1e-2", "1e-3"), FEW);
        assertTrue(
                space.contains("learning_rate in the space was loguniform(1e-5, 1e-2), is loguniform(1e-5, 1e-3)"),
                space);
        String gone = refusal(out, "learning_rate: loguniform(1e-5, 1e-2)\n", FEW);
        assertTrue(gone.contains("num_train_epochs in the space was choice([2, 4, 6]), is not given"), gone);
        // written otherwise, meaning the same
        String same = "num_train_epochs: {choice: [2, 4, 6]}\nlr: loguniform(0.00001, 0.01) # same\n";
        StudyResults more = FakeTrials.run(out, same, Map.of("num_samples", "4", "scheduler", "none"));
        assertEquals("4 of 4 trials: 4 completed", more.summary());
        assertEquals(
                FakeTrials.decisions(FakeTrials.run(
                        dir.resolve("whole"), FakeTrials.SPACE, Map.of("num_samples", "4", "scheduler", "none"))),
                FakeTrials.decisions(more));
    }

    @Test
    void ofProcessesThatBeginDifferentStudiesAtOnceOneIsRefused() throws Exception {
        for (int i = 0; i < 5; i++) {
            Path out = dir.resolve("out-" + i);
            List<Callable<Void>> begins = new ArrayList<>();
            for (String seed : List.of("1", "2")) {
                begins.add(() -> {
                    FakeTrials.begin(out, FakeTrials.SPACE, Map.of("seed", seed))
                            .close();
                    return null;
                });
            }
            int begun = 0;
            try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
                for (Future<Void> one : threads.invokeAll(begins)) {
                    try {
                        one.get();
                        begun++;
                    } catch (ExecutionException e) {
                        assertTrue(e.getCause() instanceof InputException, e::toString);
                    }
                }
            }
            assertEquals(1, begun);
        }
    }
}
