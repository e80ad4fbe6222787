package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.io.AtomicFiles;
import org.sftnative.io.FaultyDisk;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

class CheckpointsTest {
    @TempDir
    Path output;

    @Test
    void aSaveThatFailsLeavesNothingAndTheNextOneIsWhole() throws IOException {
        save(2, directory -> write(directory, "weights"));
        assertThrows(
                UncheckedIOException.class,
                () -> save(4, directory -> {
                    write(directory, "half");
                    throw new UncheckedIOException(new IOException("no space left on device"));
                }));
        assertEquals(List.of(output.resolve("checkpoint-2")), Checkpoints.list(output));
        assertEquals(List.of("checkpoint-2"), names(), "what fills a full disk is given back");
        save(6, directory -> write(directory, "weights"));
        assertEquals(List.of("checkpoint-2", "checkpoint-6"), names());
    }

    @Test
    void whileACheckpointIsWrittenTheOthersAreWholeAndItIsNotThere() throws IOException {
        save(2, directory -> write(directory, "old"));
        save(2, directory -> {
            write(directory, "new");
            assertEquals("old", read(output.resolve("checkpoint-2/model.safetensors")));
            assertEquals(List.of(output.resolve("checkpoint-2")), Checkpoints.list(output));
        });
        assertEquals("new", read(output.resolve("checkpoint-2/model.safetensors")));
        assertEquals(List.of("checkpoint-2"), names());
    }

    /// What a loss of power leaves depends on this order, and no kill can show it.
    @Test
    void everyFileIsOnTheDiskBeforeItsNameIsAndTheCheckpointBeforeAnOlderOneGoes() {
        save(2, directory -> AtomicFiles.writeText(directory.resolve("model.safetensors"), "weights"));
        save(4, directory -> AtomicFiles.writeText(directory.resolve("model.safetensors"), "weights"));
        List<String> changes;
        try (FaultyDisk disk = FaultyDisk.remembering()) {
            save(6, directory -> AtomicFiles.writeText(directory.resolve("model.safetensors"), "weights"));
            changes = disk.changes();
        }
        Path temporary = output.resolve(".tmp-checkpoint-6");
        List<String> files = new ArrayList<>();
        for (int i = 0; i < changes.size(); i++) {
            String change = changes.get(i);
            if (change.startsWith("create ")) {
                int synced = changes.indexOf(change.replace("create ", "sync "));
                assertTrue(synced > i, () -> change + " is never synced: " + changes);
                assertEquals(Set.of("write"), Set.copyOf(changes.subList(i + 1, synced)), change);
                assertTrue(changes.get(synced + 1).startsWith("rename " + temporary), changes::toString);
                assertEquals("sync " + temporary, changes.get(synced + 2));
                files.add(changes.get(synced + 1).substring(("rename " + temporary).length() + 1));
            }
        }
        assertEquals(
                List.of("model.safetensors", "optimizer.safetensors", "trainer_state.json", "MANIFEST.json"), files);
        int there = changes.indexOf("rename " + output.resolve("checkpoint-6"));
        assertEquals("sync " + temporary, changes.get(there - 1), "the manifest is not durable yet");
        assertEquals("sync " + output, changes.get(there + 1));
        assertEquals("rename " + output.resolve(".trash-checkpoint-2"), changes.get(there + 2));
        assertTrue(changes.subList(0, there).stream().noneMatch(c -> c.startsWith("delete ")), changes::toString);
    }

    @Test
    void whatDeadRunsLeftHalfDoneIsRemovedAtTheStartAndNothingElse() throws IOException {
        save(2, directory -> write(directory, "weights"));
        for (String left : List.of(".tmp-checkpoint-4", ".trash-checkpoint-1", ".tmp-checkpoint-mine")) {
            write(Files.createDirectories(output.resolve(left)), "half");
        }
        Files.createFile(output.resolve(".model.safetensors.tmp-1f"));
        checkpoints().clean(false);
        assertEquals(List.of(".tmp-checkpoint-mine", "checkpoint-2"), names());
    }

    @Test
    void theCheckpointThatARunWentOnFromOutlivesTheLimit() throws IOException {
        save(2, directory -> write(directory, "weights"));
        try (PointerScope _ = new PointerScope();
                AdamWOptimizer optimizer = optimizer()) {
            Checkpoints resumed = checkpoints();
            resumed.restore(output.resolve("checkpoint-2"), optimizer, false);
            for (long step : new long[] {4, 6, 8}) {
                RunState state = new RunState(step, 0, 0, 0, RunState.SinceLog.NOTHING, 0, 0, SpikeState.START);
                resumed.save(content(state, optimizer), directory -> write(directory, "weights"));
            }
        }
        assertEquals(List.of("checkpoint-2", "checkpoint-6", "checkpoint-8"), names());
    }

    @Test
    void aLossThatIsNotFiniteSurvivesTheFile() throws IOException {
        RunState state = new RunState(
                2,
                30,
                20,
                Double.NaN,
                new RunState.SinceLog(Double.POSITIVE_INFINITY, 20, 30),
                1,
                256,
                new SpikeState(List.of(0.1, 1 / 3.0), List.of(1e300, 5e-324), 2, 1, 1, 0, List.of(3L, 7L)));
        try (PointerScope _ = new PointerScope();
                AdamWOptimizer optimizer = optimizer()) {
            checkpoints().save(content(state, optimizer), directory -> write(directory, "weights"));
            Checkpoints.Restored restored = checkpoints().restore(output.resolve("checkpoint-2"), optimizer, false);
            assertEquals(state, restored.state());
            assertEquals(new Patience(3, 2, 1 / 3.0), restored.patience());
        }
    }

    private void save(long step, Checkpoints.ModelSaver model) {
        try (PointerScope _ = new PointerScope();
                AdamWOptimizer optimizer = optimizer()) {
            RunState state = new RunState(step, 0, 0, 0, RunState.SinceLog.NOTHING, 0, 0, SpikeState.START);
            checkpoints().save(content(state, optimizer), model);
        }
    }

    private static Checkpoints.Content content(RunState state, AdamWOptimizer optimizer) {
        return new Checkpoints.Content(
                1,
                state,
                state.step() / 10.0,
                optimizer.state(),
                optimizer.steps(),
                Checkpoints.Best.NONE,
                new Patience(3, 2, 1 / 3.0),
                100);
    }

    private Checkpoints checkpoints() {
        return new Checkpoints(
                output,
                2,
                new RunIdentity("20 (ab)", "8 rows", "shuffled", 42, 10, PrecisionChoice.FP32, "all weights"),
                new TreeMap<>(),
                OptimizerParts.WHOLE);
    }

    private static AdamWOptimizer optimizer() {
        Tensor weights = Tensors.zeros(ScalarType.Float, Devices.cpu(), 4);
        Tensor gradients = Tensors.zeros(ScalarType.Float, Devices.cpu(), 4);
        AdamWUpdate update = new AdamWUpdate(1e-3, 0.9, 0.999, 1e-8, 0, 0, 2, 0, 0);
        AdamWState state = AdamWState.create(AdamWState.Masters.FP32, AdamWState.Moments.FP32, 4, Devices.cpu());
        return new AdamWOptimizer(new AtenOps(), weights, gradients, update, state);
    }

    private List<String> names() throws IOException {
        try (Stream<Path> entries = Files.list(output)) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList();
        }
    }

    private static void write(Path directory, String text) {
        try {
            Files.writeString(directory.resolve("model.safetensors"), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
