package org.sftnative.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What a run's listeners write is what its report says.
class RunHistoryTest {
    private static final Clock CLOCK = Clock.fixed(Instant.parse("2026-01-02T03:04:05Z"), ZoneOffset.UTC);

    @TempDir
    Path output;

    @Test
    void whatListenersWroteIsRead() {
        record(0, 8, 3);
        RunHistory run = RunHistory.read(output).orElseThrow();
        assertEquals(8, run.steps().size());
        assertEquals(2, run.evals().size());
        assertEquals(8, run.totalSteps());
        assertEquals("finished", run.state());
        assertEquals(Map.of("model", "small"), run.summary());
        assertTrue(run.json().path("steps").get(2).path("loss").isNull(), "NaN is null on the page");
        assertEquals(
                List.of("started", "alert", "saved", "sample", "finished"),
                run.events().stream().map(e -> e.path("event").asString("")).toList());
    }

    @Test
    void resumedRunHasNoEventTwice() throws IOException {
        record(0, 8, 99);
        record(4, 8, 99);
        RunHistory run = RunHistory.read(output).orElseThrow();
        assertEquals(8, run.steps().size());
        assertEquals(
                1,
                run.events().stream()
                        .filter(e -> e.path("event").asString("").equals("finished"))
                        .count());
        assertEquals(
                2,
                run.events().stream()
                        .filter(e -> e.path("event").asString("").equals("started"))
                        .count());
    }

    /// A run that rolls back starts again in the same process.
    @Test
    void settingsOfTheStartStayWhereARunWentBack() {
        EventsFile events = new EventsFile(output.resolve("events.jsonl"), CLOCK, problem -> {});
        events.on(new RunEvent.Started(0, 9, Map.of("model", "small")));
        events.on(new RunEvent.Started(4, 9, Map.of("rolled back", "loss")));
        assertEquals(
                Map.of("model", "small", "rolled back", "loss"),
                RunHistory.read(output).orElseThrow().summary());
    }

    @Test
    void unfinishedLastLineIsLeftOut() throws IOException {
        record(0, 8, 99);
        for (String name : List.of("metrics.jsonl", "events.jsonl")) {
            Files.writeString(output.resolve(name), Files.readString(output.resolve(name)) + "{\"step\": 9, \"lo");
        }
        assertEquals(8, RunHistory.read(output).orElseThrow().steps().size());
    }

    @Test
    void emptyDirectoryIsNoRun() {
        assertTrue(RunHistory.read(output).isEmpty());
    }

    @Test
    void textOfARowCannotEndThePagesScript() {
        EventsFile events = new EventsFile(output.resolve("events.jsonl"), CLOCK, problem -> {});
        events.on(new RunEvent.Started(0, 1, Map.of()));
        events.on(new RunEvent.Sampled(1, "</script><script>alert(1)</script>", "<b>", "\u2028"));
        String page = ReportPage.of(List.of(RunHistory.read(output).orElseThrow()));
        assertFalse(page.contains("<script>alert(1)"));
        assertEquals(2, Stream.of(page.split("</script>", -1)).count() - 1);
        assertFalse(page.contains("src=\"http"), "nothing is loaded");
    }

    @Test
    void readingTellsOverFittingFromLearning() throws IOException {
        assertTrue(reading(1.5, 1.4, 1.3).contains("at its lowest"));
        assertTrue(reading(1.5, 1.3, 1.4, 1.6).contains("lowest at step 2 (1.300) and has risen to 1.600 over 2"));
        assertTrue(reading(1.5, 1.300, 1.301).contains("level since step 2"));
        assertTrue(reading().contains("No rows were kept for evaluation"));
    }

    private String reading(double... evals) throws IOException {
        Files.deleteIfExists(output.resolve("metrics.jsonl"));
        MetricsFile metrics = new MetricsFile(output.resolve("metrics.jsonl"), problem -> {});
        metrics.on(new RunEvent.Started(0, 10, Map.of()));
        for (int i = 0; i < 10; i++) {
            metrics.on(step(i + 1, 10, 2 - 0.1 * i));
            if (i < evals.length) {
                metrics.on(new RunEvent.Evaluated(i + 1, 0, evals[i], 5, 1));
            }
        }
        return String.join("\n", Reading.of(RunHistory.read(output).orElseThrow()));
    }

    /// A run from a step to its end, as its listeners hear it.
    private void record(long from, long total, long nanAt) {
        for (RunListener listener : List.of(
                new MetricsFile(output.resolve("metrics.jsonl"), problem -> {}),
                new EventsFile(output.resolve("events.jsonl"), CLOCK, problem -> {}))) {
            listener.on(new RunEvent.Started(from, total, Map.of("model", "small")));
            for (long step = from + 1; step <= total; step++) {
                listener.on(step(step, total, step == nanAt ? Double.NaN : 1.0 / step));
                if (step % 4 == 0) {
                    listener.on(new RunEvent.Evaluated(step, 0, 1, 5, 1));
                }
                if (step == 6) {
                    listener.on(new RunEvent.Alerted(step, "loss_spike", "high"));
                    listener.on(new RunEvent.Saved(step, Path.of("checkpoint-6"), 1));
                    listener.on(new RunEvent.Sampled(step, "q", "a", "b"));
                }
            }
            listener.on(new RunEvent.Finished(total, 10, 1, 1, 1, output));
        }
    }

    private static RunEvent.StepDone step(long step, long total, double loss) {
        return new RunEvent.StepDone(step, total, 0, loss, 1, 1e-5, 10, 5, 1, 1 << 20, true);
    }
}
