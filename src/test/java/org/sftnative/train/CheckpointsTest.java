package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.PrecisionChoice;
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
                new RunIdentity("20 (ab)", "8 rows", "shuffled", 42, 10, PrecisionChoice.FP32),
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
