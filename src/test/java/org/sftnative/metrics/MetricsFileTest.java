package org.sftnative.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsFileTest {
    @TempDir
    Path dir;

    private final List<String> complaints = new ArrayList<>();
    private Path file;
    private MetricsFile metrics;

    @BeforeEach
    void open() {
        file = dir.resolve("out/metrics.jsonl");
        metrics = new MetricsFile(file, complaints::add);
    }

    @Test
    void aLineHasTransformersKeysAndOurs() throws Exception {
        start(0);
        metrics.on(step(1, 9.0, false));
        metrics.on(step(10, 1.25, true));
        metrics.on(new RunEvent.Evaluated(10, 0.5, 2.5, 77, 1.5));
        metrics.on(new RunEvent.Saved(10, dir, 1));
        metrics.on(new RunEvent.Warned("careful"));
        metrics.on(new RunEvent.Finished(10, 4000, 8, 1.5, 1 << 20, dir));
        assertEquals(
                List.of(
                        "{\"step\":10,\"epoch\":0.5,\"loss\":1.25,\"grad_norm\":2.0,\"learning_rate\":2.0E-5,"
                                + "\"tokens_per_second\":250.0,\"trained_tokens\":1000,\"label_tokens\":300,\"peak_bytes\":1048576}",
                        "{\"step\":10,\"epoch\":0.5,\"eval_loss\":2.5,\"eval_runtime\":1.5,\"eval_label_tokens\":77}",
                        "{\"step\":10,\"train_loss\":1.5,\"train_runtime\":8.0,\"tokens\":4000,\"peak_bytes\":1048576}"),
                Files.readAllLines(file));
    }

    @Test
    void whatIsNotFiniteIsWrittenAsPythonReadsIt() throws Exception {
        start(0);
        metrics.on(step(1, Double.NaN, true));
        metrics.on(step(2, Double.POSITIVE_INFINITY, true));
        List<String> lines = Files.readAllLines(file);
        assertTrue(lines.get(0).contains("\"loss\":NaN,"), lines.get(0));
        assertTrue(lines.get(1).contains("\"loss\":Infinity,"), lines.get(1));
    }

    @Test
    void aNewRunStartsANewFile() throws Exception {
        start(0);
        metrics.on(step(1, 1, true));
        start(0);
        metrics.on(step(1, 2, true));
        assertEquals(1, Files.readAllLines(file).size());
    }

    @Test
    void aResumedRunGoesOnAfterItsCheckpointAndRepeatsNothing() throws Exception {
        start(0);
        for (int step = 1; step <= 4; step++) {
            metrics.on(step(step, step, true));
        }
        List<String> before = Files.readAllLines(file);
        Files.writeString(file, Files.readString(file) + "{\"step\":1,\"epo"); // killed in the middle of a line
        start(2);
        metrics.on(step(3, 3, true));
        metrics.on(step(4, 4, true));
        assertEquals(before, Files.readAllLines(file));
    }

    @Test
    void aProlongedRunDropsItsFormerEnd() throws Exception {
        start(0);
        metrics.on(step(2, 1, true));
        metrics.on(new RunEvent.Finished(2, 4000, 8, 1.5, 1, dir));
        start(2);
        assertEquals(1, Files.readAllLines(file).size());
    }

    @Test
    void resumingWithoutAFileStartsOne() throws Exception {
        start(5);
        metrics.on(step(6, 1, true));
        assertEquals(1, Files.readAllLines(file).size());
    }

    @Test
    void linesThatAreNoTextCostNoOthersAndNoLinkIsFollowed() throws Exception {
        Files.createDirectories(file.getParent());
        Files.write(file, new byte[] {'{', (byte) 0xC0, 0, '\n'});
        Files.writeString(file, "{\"step\":1,\"loss\":2.0}\n\0\0", StandardOpenOption.APPEND);
        Path precious = Files.writeString(file.resolveSibling("precious"), "mine");
        Files.createSymbolicLink(file.resolveSibling(file.getFileName() + ".tmp"), precious);
        start(1);
        assertEquals(List.of("{\"step\":1,\"loss\":2.0}"), Files.readAllLines(file));
        assertEquals("mine", Files.readString(precious));
    }

    @Test
    void aLostLineIsSaidOnceAndStopsNothing() throws Exception {
        start(0);
        Files.delete(file);
        Files.createDirectory(file);
        metrics.on(step(1, 1, true));
        metrics.on(step(2, 1, true));
        assertEquals(1, complaints.size());
        assertTrue(complaints.getFirst().startsWith("metrics are being lost: " + file), complaints.getFirst());
    }

    @Test
    void aFileThatCannotBeStartedIsAnError() throws Exception {
        Files.writeString(dir.resolve("out"), "a file, not a folder");
        assertThrows(UncheckedIOException.class, () -> start(0));
    }

    private void start(long firstStep) {
        metrics.on(new RunEvent.Started(firstStep, 10, Map.of()));
    }

    private static RunEvent.StepDone step(long step, double loss, boolean logged) {
        return new RunEvent.StepDone(step, 10, 0.5, loss, 2, 2e-5, 1000, 300, 4, 1 << 20, logged);
    }
}
