package org.sftnative.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.InputException;
import org.sftnative.io.AtomicFiles;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.io.SafetensorsWriter;
import org.sftnative.io.StoredDtype;
import org.sftnative.io.TensorSource;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/// The checkpoints of a run, `checkpoint-N` in its output directory. Each is a model directory that can be used as it
/// is, with
/// the optimizer's state and the loop's beside the weights. It is written under another name and renamed once it is
/// whole.
final class Checkpoints {
    private static final String STATE = "trainer_state.json";
    private static final String OPTIMIZER = "optimizer.safetensors";
    private static final JsonMapper JSON = new JsonMapper();

    private final Path output;
    private final int limit;
    private final RunIdentity identity;

    /// What a run must have in common with the one that it goes on from.
    ///
    /// @param rows training rows after dropping
    /// @param rowsPerStep rows of an optimizer step
    /// @param seed of the order
    /// @param totalSteps steps that the schedule was made for
    record RunIdentity(int rows, int rowsPerStep, long seed, long totalSteps) {}

    /// The content of `trainer_state.json`; `global_step` and `epoch` are transformers' names.
    record Saved(
            int formatVersion, double epoch, long globalStep, RunState state, RunIdentity run, long optimizerSteps) {}

    /// @param limit checkpoints kept; 0: all
    Checkpoints(Path output, int limit, RunIdentity identity) {
        this.output = output;
        this.limit = limit;
        this.identity = identity;
    }

    /// Writes a model directory.
    interface ModelSaver {
        void save(Path directory);
    }

    /// Writes `checkpoint-N`, then removes the oldest ones beyond the limit.
    Path save(RunState state, double epoch, AdamWOptimizer optimizer, ModelSaver model) {
        Path target = output.resolve("checkpoint-" + state.step());
        Path temporary = output.resolve(".tmp-checkpoint-" + state.step());
        try {
            deleteTree(temporary);
            Files.createDirectories(temporary);
            model.save(temporary);
            SafetensorsWriter.write(
                    temporary.resolve(OPTIMIZER), SafetensorsWriter.PYTORCH, optimizerSources(optimizer));
            Saved saved = new Saved(1, epoch, state.step(), state, identity, optimizer.steps());
            AtomicFiles.writeText(
                    temporary.resolve(STATE),
                    JSON.writerWithDefaultPrettyPrinter().writeValueAsString(saved) + "\n");
            if (Files.exists(target)) {
                deleteTree(target);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            AtomicFiles.syncDirectory(output);
            for (Path old : list(output).reversed().stream()
                    .skip(limit == 0 ? Long.MAX_VALUE : limit)
                    .toList()) {
                deleteTree(old);
            }
            return target;
        } catch (IOException e) {
            throw new UncheckedIOException(target + " could not be written: " + e.getMessage(), e);
        }
    }

    /// The checkpoint that `--resume` means: a directory, or the newest of the output directory for `latest`.
    ///
    /// @throws InputException if there is none
    static Path find(Path output, String resume) {
        if (!resume.equals("latest")) {
            Path directory = Path.of(resume);
            if (!Files.isRegularFile(directory.resolve(STATE))) {
                throw new InputException(directory + " is no checkpoint: it has no " + STATE
                        + "\n  give a directory such as OUT/checkpoint-100, or 'latest'");
            }
            return directory;
        }
        List<Path> all = list(output);
        if (all.isEmpty()) {
            throw new InputException(output + " has no checkpoint to resume from\n  leave --resume out to start anew");
        }
        return all.getLast();
    }

    /// Restores the optimizer from a checkpoint; the weights are loaded as those of any model directory.
    ///
    /// @return where the loop goes on
    /// @throws InputException if the checkpoint is of another run, naming both values
    RunState restore(Path checkpoint, AdamWOptimizer optimizer) {
        Saved saved;
        try {
            saved = JSON.readValue(checkpoint.resolve(STATE).toFile(), Saved.class);
        } catch (JacksonException e) {
            throw new InputException(checkpoint.resolve(STATE) + " cannot be read: " + e.getOriginalMessage(), e);
        }
        if (!saved.run.equals(identity)) {
            throw new InputException(
                    checkpoint + " is of another run: it has " + saved.run + ", this run has " + identity
                            + "\n  resume with the settings and rows of that run, or start anew in another directory");
        }
        try (SafetensorsFile file = SafetensorsFile.open(checkpoint.resolve(OPTIMIZER));
                PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            optimizer.state().forEach((name, tensor) -> restore(file, name, tensor));
        }
        optimizer.restored(saved.optimizerSteps);
        return saved.state;
    }

    private static void restore(SafetensorsFile file, String name, Tensor tensor) {
        if (!file.tensors().containsKey(name) || file.info(name).elements() != tensor.numel()) {
            throw new InputException(file.path() + ": '" + name + "' is missing or of another size, this run needs "
                    + tensor.numel() + " elements\n  resume with the precision of the run that wrote it");
        }
        Tensor host = Tensors.empty(tensor.scalar_type(), Devices.cpu(), tensor.numel());
        file.read(name, Dtype.F32, Tensors.memory(host));
        tensor.copy_(host);
    }

    /// The checkpoints of a directory, oldest first.
    static List<Path> list(Path output) {
        if (!Files.isDirectory(output)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(output)) {
            return entries.filter(p -> p.getFileName().toString().matches("checkpoint-\\d+"))
                    .filter(p -> Files.isRegularFile(p.resolve(STATE)))
                    .sorted(Comparator.comparingLong(Checkpoints::step))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long step(Path checkpoint) {
        return Long.parseLong(checkpoint.getFileName().toString().substring("checkpoint-".length()));
    }

    private static List<TensorSource> optimizerSources(AdamWOptimizer optimizer) {
        List<TensorSource> sources = new ArrayList<>();
        for (Map.Entry<String, Tensor> entry : optimizer.state().entrySet()) {
            Tensor tensor = entry.getValue();
            List<Long> shape = Arrays.stream(tensor.shape()).boxed().toList();
            sources.add(new TensorSource(entry.getKey(), StoredDtype.F32, shape, sink -> {
                try (PointerScope _ = new PointerScope()) {
                    sink.write(Tensors.memory(Tensors.to(tensor, Devices.cpu())));
                }
            }));
        }
        return sources;
    }

    private static void deleteTree(Path root) throws IOException {
        if (!Files.exists(root)) {
            return;
        }
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
                Files.delete(directory);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
