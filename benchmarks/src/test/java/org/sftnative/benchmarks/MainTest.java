package org.sftnative.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.benchmarks.guard.Guard;
import org.sftnative.tensor.Torch;

/// JMH's command line as this project sets it up, in processes of its own.
class MainTest {
    private static final String QUICK = "-f 0 -wi 0 -i 1 -r 1ms";

    @TempDir
    Path dir;

    private record Outcome(int status, String out) {}

    @Test
    void aBenchmarkThatFailsEndsTheRunWithAnError() throws Exception {
        Outcome outcome = run(Main.class, "TrainStep -p workload=TINY -p engine=none -f 1 -wi 0 -i 1 -r 1ms");
        assertNotEquals(0, outcome.status(), outcome.out());
        assertTrue(outcome.out().contains("IllegalArgumentException: engine none"), outcome.out());
    }

    @Test
    void whatJmhDoesNotKnowIsAnErrorOfALine() throws Exception {
        assertEquals(
                new Outcome(2, "error: agianst is not a recognized option\n  -h lists what there is\n"),
                run(Main.class, "--agianst x"));
        Outcome outcome = run(Main.class, "Train[");
        assertEquals(2, outcome.status());
        assertTrue(outcome.out().startsWith("error: Unclosed character class"), outcome.out());
        outcome = run(Main.class, "NoSuchBenchmark -f 1");
        assertEquals(1, outcome.status());
        assertTrue(outcome.out().startsWith("No matching benchmarks"), outcome.out());
    }

    /// Skipped ones are counted and named, and leave no row: the guard finds nothing to judge, and says so.
    @Test
    void withoutACardItsBenchmarksAreSkippedNeverPassed() throws Exception {
        Torch.start(1);
        assumeFalse(Here.hasCard());
        Path results = dir.resolve("candidate-01.json");
        Outcome outcome = run(Main.class, "Card " + QUICK + " -rf json -rff " + results);
        assertEquals(
                "2 benchmarks skipped, no CUDA device: [CardKernels.run, CardStep.round]",
                outcome.out().strip());
        assertFalse(Files.exists(results));

        outcome = run(Main.class, "Card|Packing -p packed=0 " + QUICK + " -rf json -rff " + results);
        assertEquals(0, outcome.status(), outcome.out());
        assertTrue(outcome.out().startsWith("2 benchmarks skipped"), outcome.out());
        assertFalse(Files.readString(results).contains("Card"));

        Files.move(results, dir.resolve("base-01.json"));
        outcome = run(Guard.class, "compare " + dir);
        assertEquals(2, outcome.status(), outcome.out());
        assertTrue(outcome.out().startsWith("error: " + dir + " has no results candidate-*.json"), outcome.out());
    }

    private static Outcome run(Class<?> main, String arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                main.getName()));
        command.addAll(List.of(arguments.split(" ")));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Outcome(process.waitFor(), out);
    }
}
