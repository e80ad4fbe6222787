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
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.InputException;
import org.sftnative.io.AtomicFiles;
import org.sftnative.io.JsonFiles;
import org.sftnative.io.Manifest;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.io.SafetensorsWriter;
import org.sftnative.io.StoredDtype;
import org.sftnative.io.TensorSource;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;

/// The checkpoints of a run, `checkpoint-N` in its output directory. Each is a model directory that can be used as
/// it is, with the optimizer's state and the loop's beside the weights. It exists when its manifest does: it is written
/// under another name, each file made durable, the manifest last, and renamed once it is whole.
public final class Checkpoints {
    /// What `--resume` without a directory means.
    static final String LATEST = "latest";

    private static final String STATE = "trainer_state.json";
    private static final String OPTIMIZER = "optimizer.safetensors";
    private static final int VERSION = 2;
    private static final String DAMAGED = "\n  the checkpoint is damaged: resume from another one";
    private static final JsonMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private final Path output;
    private final int limit;
    private final RunIdentity identity;
    private final SortedMap<String, String> recipe;
    private long resumedFrom;

    /// The content of `trainer_state.json`; `global_step` and `epoch` are transformers' names.
    record Saved(
            int formatVersion,
            double epoch,
            long globalStep,
            RunState state,
            RunIdentity run,
            SortedMap<String, String> recipe,
            long optimizerSteps,
            Best best) {}

    /// The evaluation that is the best so far, among steps that were saved.
    ///
    /// @param step 0: none
    record Best(long step, double evalLoss) {
        static final Best NONE = new Best(0, Double.POSITIVE_INFINITY);
    }

    /// Where a run goes on.
    ///
    /// @param changed settings that may change on the way, and have: each with both values
    record Restored(RunState state, String changed, Best best) {
        static final Restored ANEW = new Restored(RunState.START, "", Best.NONE);
    }

    /// What is saved beside the weights.
    ///
    /// @param optimizer tensors on the host, by name
    /// @param optimizerSteps updates done
    record Content(RunState state, double epoch, Map<String, Tensor> optimizer, long optimizerSteps, Best best) {}

    /// A checkpoint to go on from.
    ///
    /// @param passedOver newer ones that are not whole, and why
    record Found(Path directory, List<String> passedOver) {}

    /// @param limit checkpoints kept; 0: all
    /// @param recipe settings that a resumed run may change, but not unsaid
    Checkpoints(Path output, int limit, RunIdentity identity, SortedMap<String, String> recipe) {
        this.output = output;
        this.limit = limit;
        this.identity = identity;
        this.recipe = recipe;
    }

    /// Writes a model directory.
    interface ModelSaver {
        void save(Path directory);
    }

    /// Writes `checkpoint-N`, then removes the oldest ones beyond the limit, but neither the best nor the one
    /// that the run went on from, and those of later steps: they are of a run that this one has left, by going
    /// on from an earlier step. Whoever looks into the output directory finds whole checkpoints only.
    Path save(Content content, ModelSaver model) {
        long step = content.state().step();
        Path target = output.resolve("checkpoint-" + step);
        Path temporary = output.resolve(".tmp-checkpoint-" + step);
        try {
            removeLeftovers();
            List<TensorSource> optimizer = optimizerSources(content.optimizer());
            checkRoom(optimizer);
            Files.createDirectories(temporary);
            model.save(temporary);
            SafetensorsWriter.write(temporary.resolve(OPTIMIZER), SafetensorsWriter.PYTORCH, optimizer);
            Saved saved = new Saved(
                    VERSION,
                    content.epoch(),
                    step,
                    content.state(),
                    identity,
                    recipe,
                    content.optimizerSteps(),
                    content.best());
            AtomicFiles.writeText(
                    temporary.resolve(STATE),
                    JSON.writerWithDefaultPrettyPrinter().writeValueAsString(saved) + "\n");
            Manifest.write(temporary, Map.of("step", "" + step));
            if (Files.exists(target)) {
                remove(target);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            AtomicFiles.syncDirectory(output);
            rotate(step, content.best().step());
            return target;
        } catch (IOException e) {
            throw new UncheckedIOException(target + " could not be written: " + e.getMessage(), e);
        }
    }

    private void rotate(long newest, long best) throws IOException {
        long kept = 0;
        for (Path checkpoint : list(output).reversed()) {
            long step = step(checkpoint);
            boolean needed = step == newest || step == best || step == resumedFrom;
            if (step > newest || limit > 0 && kept >= limit && !needed) {
                remove(checkpoint);
            } else {
                kept++;
            }
        }
    }

    private void checkRoom(List<TensorSource> optimizer) throws IOException {
        long needed = optimizer.stream().mapToLong(TensorSource::byteSize).sum();
        long free = Files.getFileStore(output).getUsableSpace();
        if (free < needed) {
            throw new InputException(output + ": a checkpoint's optimizer needs " + needed + " bytes, the disk has "
                    + free + " free\n  make room, or keep fewer checkpoints (--save-total-limit)");
        }
    }

    private void removeLeftovers() throws IOException {
        for (Path left : entries(output, "\\.(tmp|trash)-checkpoint-\\d+")) {
            deleteTree(left);
        }
    }

    /// Removes what killed runs left half written or half deleted and, for a run that starts anew, the checkpoints of
    /// an earlier one in the same directory: `latest` must not mean one of those.
    void clean(boolean anew) {
        try {
            removeLeftovers();
            for (Path checkpoint : anew ? list(output) : List.<Path>of()) {
                remove(checkpoint);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(output + ": an old checkpoint could not be removed: " + e.getMessage(), e);
        }
    }

    /// Out of sight by one rename, then deleted: a checkpoint that is half there is never seen.
    private void remove(Path checkpoint) throws IOException {
        Path trash = output.resolve(".trash-" + checkpoint.getFileName());
        deleteTree(trash);
        Files.move(checkpoint, trash, StandardCopyOption.ATOMIC_MOVE);
        deleteTree(trash);
    }

    /// The checkpoint that `--resume` means: a directory, or the newest whole one of the output directory for
    /// `latest`.
    ///
    /// @throws InputException if there is none, or the one that is named is not whole
    static Found find(Path output, String resume) {
        if (!resume.equals(LATEST)) {
            Path directory = Path.of(resume);
            if (!Files.isRegularFile(directory.resolve(STATE))) {
                throw new InputException(directory + " is no checkpoint: it has no " + STATE
                        + "\n  give a directory such as OUT/checkpoint-100, or 'latest'");
            }
            Manifest.fault(directory).ifPresent(fault -> {
                throw new InputException(directory + " is damaged: " + fault
                        + "\n  resume from another one, or with --resume latest from the newest that is whole");
            });
            return new Found(directory, List.of());
        }
        List<String> passedOver = new ArrayList<>();
        for (Path checkpoint : list(output).reversed()) {
            Optional<String> fault = Manifest.fault(checkpoint);
            if (fault.isEmpty()) {
                return new Found(checkpoint, passedOver);
            }
            passedOver.add(checkpoint.getFileName() + " is damaged: " + fault.get());
        }
        throw new InputException(output + " has no checkpoint to resume from"
                + passedOver.stream().map(fault -> "\n  " + fault).collect(Collectors.joining())
                + "\n  leave --resume out to start anew");
    }

    /// Restores the optimizer from a checkpoint; the weights are loaded as those of any model directory.
    ///
    /// @return where the loop goes on
    /// @throws InputException if the checkpoint is of another run, naming both values
    Restored restore(Path checkpoint, AdamWOptimizer optimizer, boolean allowChanged) {
        Saved saved = read(checkpoint.resolve(STATE));
        String differences = saved.run.differences(identity);
        if (!differences.isEmpty() && !allowChanged) {
            throw new InputException(checkpoint + " is of another run" + differences
                    + "\n  resume with the settings and rows of that run, start anew in another directory,"
                    + " or say that it is meant: --allow-changed");
        }
        try (SafetensorsFile file = SafetensorsFile.open(checkpoint.resolve(OPTIMIZER));
                PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            optimizer.state().forEach((name, tensor) -> restore(file, name, tensor));
        }
        optimizer.restored(saved.optimizerSteps);
        resumedFrom = saved.globalStep;
        String changed = recipe.entrySet().stream()
                .filter(e -> !e.getValue().equals(saved.recipe.get(e.getKey())))
                .map(e -> e.getKey() + " " + saved.recipe.get(e.getKey()) + " -> " + e.getValue())
                .collect(Collectors.joining(", "));
        String other = differences.strip().replace("\n  ", ", ");
        return new Restored(
                saved.state,
                Stream.of(other, changed).filter(text -> !text.isEmpty()).collect(Collectors.joining(", ")),
                saved.best);
    }

    private static Saved read(Path file) {
        try {
            Saved saved = JSON.readValue(file.toFile(), Saved.class);
            if (saved == null) {
                throw new InputException(file + " holds null, must be the state of a run" + DAMAGED);
            }
            if (saved.formatVersion != VERSION) {
                throw new InputException(file + " has format version " + saved.formatVersion + ", this program reads "
                        + VERSION + "\n  resume with the version of the program that wrote it");
            }
            return saved;
        } catch (JacksonException e) {
            throw new InputException(file + " cannot be read: " + JsonFiles.problem(e) + DAMAGED, e);
        }
    }

    private static void restore(SafetensorsFile file, String name, Tensor tensor) {
        boolean there = file.tensors().containsKey(name);
        if (!there
                || file.info(name).byteSize() != tensor.nbytes()
                || file.info(name).dtype() != storedType(tensor)) {
            throw new InputException(file.path() + ": '" + name + "' is missing or not " + tensor.numel()
                    + " elements of " + storedType(tensor) + "\n  resume with the precision of the run that wrote it");
        }
        Tensor host = Tensors.empty(tensor.scalar_type(), Devices.cpu(), tensor.numel());
        Tensors.memory(host).copyFrom(file.bytes(name));
        tensor.copy_(host);
    }

    /// The checkpoints of a directory, oldest first.
    static List<Path> list(Path output) {
        return entries(output, "checkpoint-\\d{1,18}").stream()
                .filter(p -> Files.isRegularFile(p.resolve(STATE)))
                .sorted(Comparator.comparingLong(Checkpoints::step))
                .toList();
    }

    /// A line for each checkpoint of a directory, oldest first: its step, and whether it is whole.
    ///
    /// @throws InputException if there is none
    public static List<String> described(Path output) {
        List<Path> all = list(output);
        if (all.isEmpty()) {
            throw new InputException(output + " has no checkpoint\n  give the --output-dir of a run");
        }
        return all.stream()
                .map(checkpoint -> {
                    Optional<String> fault = Manifest.fault(checkpoint);
                    if (fault.isPresent()) {
                        return checkpoint + "  DAMAGED: " + fault.get();
                    }
                    Saved saved = read(checkpoint.resolve(STATE));
                    String best = saved.best.step() == saved.globalStep ? "  eval_loss " + saved.best.evalLoss() : "";
                    return checkpoint + "  whole  step " + saved.globalStep + "  epoch "
                            + String.format(Locale.ROOT, "%.2f", saved.epoch) + best;
                })
                .toList();
    }

    private static List<Path> entries(Path directory, String name) {
        if (!Files.isDirectory(directory)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.filter(p -> p.getFileName().toString().matches(name)).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static long step(Path checkpoint) {
        return Long.parseLong(checkpoint.getFileName().toString().substring("checkpoint-".length()));
    }

    private static StoredDtype storedType(Tensor tensor) {
        for (StoredDtype type : List.of(StoredDtype.BF16, StoredDtype.I16, StoredDtype.U8)) {
            if (Tensors.is(tensor, scalarType(type))) {
                return type;
            }
        }
        return StoredDtype.F32;
    }

    private static ScalarType scalarType(StoredDtype type) {
        return switch (type) {
            case BF16 -> ScalarType.BFloat16;
            case I16 -> ScalarType.Short;
            case U8 -> ScalarType.Byte;
            default -> ScalarType.Float;
        };
    }

    private static List<TensorSource> optimizerSources(Map<String, Tensor> optimizer) {
        List<TensorSource> sources = new ArrayList<>();
        for (Map.Entry<String, Tensor> entry : optimizer.entrySet()) {
            Tensor tensor = entry.getValue();
            List<Long> shape = Arrays.stream(tensor.shape()).boxed().toList();
            sources.add(new TensorSource(entry.getKey(), storedType(tensor), shape, sink -> {
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
