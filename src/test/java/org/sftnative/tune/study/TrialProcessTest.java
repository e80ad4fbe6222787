package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// How a trial is asked to stop that does not listen.
class TrialProcessTest {
    private static final List<String> DEAF =
            List.of("sh", "-c", "trap 'touch term' TERM; touch ready; while :; do sleep 0.05; done");

    @TempDir
    Path dir;

    private TrialProcess start() throws Exception {
        TrialProcess process = TrialProcess.start(DEAF, dir, dir, dir.resolve("log"), Map.of(), 1, () -> {});
        while (!Files.exists(dir.resolve("ready"))) {
            Thread.sleep(20);
        }
        return process;
    }

    @Test
    void itIsAskedThenToldThenKilled() throws Exception {
        TrialProcess process = start();
        long began = System.nanoTime();
        process.stop();
        assertTrue(Files.exists(dir.resolve("stop")));
        double told = 0;
        while (!process.ended()) {
            process.stop();
            told = told == 0 && Files.exists(dir.resolve("term")) ? (System.nanoTime() - began) / 1e9 : told;
            Thread.sleep(20);
        }
        assertEquals(128 + 9, process.status());
        assertTrue(told >= 1 && told < 2, "told to end after " + told + " s");
        assertTrue((System.nanoTime() - began) / 1e9 >= 2);
    }

    @Test
    void graceIsNotUsedUpWhileTheMachineStandsStill() throws Exception {
        TrialProcess process = start();
        process.stop();
        Thread.sleep(3000); // as if stopped
        process.stop();
        Thread.sleep(200);
        assertFalse(Files.exists(dir.resolve("term")) || process.ended());
        process.kill();
    }
}
