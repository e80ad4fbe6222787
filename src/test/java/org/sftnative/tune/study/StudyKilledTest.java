package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.support.InMemory;

/// A study whose process is killed goes on with `--resume` as if it had not been.
class StudyKilledTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    @Test
    void killedTwiceAStudyTakesTheSameDecisions() throws Exception {
        killed("random", new Random(1), 2, Map.of("num_samples", "8"));
    }

    @Tag("slow")
    @ParameterizedTest
    @ValueSource(strings = {"random", "grid"})
    void killedTwentyTimesAStudyTakesTheSameDecisions(String searcher) throws Exception {
        killed(searcher, new Random(2), 20, Map.of("num_samples", "20"));
    }

    private void killed(String searcher, Random random, int times, Map<String, String> more) throws Exception {
        String text = searcher.equals("grid") ? FakeTrials.GRID : FakeTrials.SPACE;
        Path space = Files.writeString(dir.resolve("space.yaml"), text);
        Path log = dir.resolve("log.txt");
        Map<String, String> settings = new java.util.HashMap<>(more);
        settings.put("searcher", searcher);
        Path whole = dir.resolve("whole");
        StudyResults expected = FakeTrials.run(whole, text, settings);
        Path out = dir.resolve("out");
        int kills = 0;
        while (kills < times) {
            Process process = FakeTrials.start(out, space, 1, log, settings);
            // the JVM takes a second to start; then trials last a few tenths each
            if (process.waitFor(600 + random.nextLong(1500), TimeUnit.MILLISECONDS)) {
                assertEquals(0, process.exitValue(), Files.readString(log));
                break;
            }
            process.destroyForcibly().waitFor();
            kills++;
        }
        Process last = FakeTrials.start(out, space, 1, log, settings);
        assertTrue(last.waitFor(3, TimeUnit.MINUTES), "not done after three minutes");
        assertEquals(0, last.exitValue(), Files.readString(log));
        assertEquals(times, kills, "the study was too short to be killed so often");
        try (Study study = Study.look(out, java.util.Optional.empty(), java.util.Optional.empty())) {
            StudyResults results = study.results();
            assertTrue(results.finished(), results.summary());
            List<String> decided = FakeTrials.decisions(results);
            assertEquals(FakeTrials.decisions(expected), decided);
            assertEquals(expected.summary(), results.summary());
            assertTrue(decided.stream().anyMatch(d -> d.endsWith("STOP")), "nothing was decided");
            assertEquals(0, results.rows().stream().mapToInt(TrialRow::crashes).sum());
        }
    }
}
