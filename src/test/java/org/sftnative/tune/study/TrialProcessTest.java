package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.dist.Place;

/// What a trial is started with, and how it is asked to stop when it does not listen.
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
    void aTrialIsNoRankThoughItsWorkerIsOne() throws Exception {
        Map<String, String> torchrun = Map.of(
                "RANK", "1", "WORLD_SIZE", "2", "LOCAL_RANK", "1", "MASTER_ADDR", "node7", "MASTER_PORT", "29400");
        Map<String, String> srun =
                Map.of("SLURM_STEP_NUM_TASKS", "2", "SLURM_PROCID", "1", "SLURM_STEP_NODELIST", "gpu[07-08]");
        for (Map<String, String> worker : List.of(torchrun, srun)) {
            assertTrue(Place.of(worker).isPresent());
            Map<String, String> trial = new HashMap<>(worker);
            trial.putAll(TrialProcess.NO_RANK);
            assertEquals(Optional.empty(), Place.of(trial));
        }
        List<String> told = List.of("sh", "-c", "echo \"${RANK-unset} ${WORLD_SIZE-unset} ${SLURM_PROCID-unset}\"");
        CountDownLatch ended = new CountDownLatch(1);
        TrialProcess.start(told, dir, dir, dir.resolve("log"), Map.of(), 1, ended::countDown);
        ended.await();
        assertEquals("  \n", Files.readString(dir.resolve("log")));
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
