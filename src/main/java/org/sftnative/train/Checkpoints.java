package org.sftnative.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.InputException;
import org.sftnative.io.AtomicFiles;
import org.sftnative.io.Disk;
import org.sftnative.io.JsonFiles;
import org.sftnative.io.Manifest;
import org.sftnative.io.SafetensorsWriter;
import org.sftnative.io.TensorSource;
import org.sftnative.optim.AdamWOptimizer;
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
    /// The setting that a size found for lack of memory replaces.
    static final String MICRO_BATCH = "micro_batch_tokens";

    private static final long TRIAL_BYTES = 256L << 20;
    private static final int VERSION = 5;
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
    private final OptimizerParts parts;
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
            Best best,
            Patience patience) {}

    /// The evaluation that is the best so far, among steps that were saved.
    ///
    /// @param step 0: none
    /// @param metric by what: `eval_loss`
    record Best(long step, String metric, double value) {
        static final Best NONE = new Best(0, "", 0);
    }

    /// Where a run goes on.
    ///
    /// @param changed settings that may change on the way, and have: each with both values
    record Restored(RunState state, String changed, Best best, Patience patience) {
        static final Restored ANEW = new Restored(RunState.START, "", Best.NONE, Patience.START);
    }

    /// What is saved beside the weights.
    ///
    /// @param save number of this save, from 1
    /// @param optimizer tensors on the host, by name
    /// @param optimizerSteps updates done
    /// @param modelBytes of the weights
    record Content(
            long save,
            RunState state,
            double epoch,
            Map<String, Tensor> optimizer,
            long optimizerSteps,
            Best best,
            Patience patience,
            long modelBytes) {}

    /// A checkpoint to go on from.
    ///
    /// @param passedOver newer ones that are not whole, and why
    record Found(Path directory, List<String> passedOver) {}

    /// @param limit checkpoints kept; 0: all
    /// @param recipe settings that a resumed run may change, but not unsaid
    /// @param parts how the optimizer's state is written
    Checkpoints(Path output, int limit, RunIdentity identity, SortedMap<String, String> recipe, OptimizerParts parts) {
        this.output = output;
        this.limit = limit;
        this.identity = identity;
        this.recipe = recipe;
        this.parts = parts;
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
            checkRoom(content.modelBytes(), OptimizerFile.sources(content.optimizer()));
            Disk.createDirectories(temporary);
            parts.begin(content.save(), temporary);
            model.save(temporary);
            parts.write(temporary, content.optimizer());
            Saved saved = new Saved(
                    VERSION,
                    content.epoch(),
                    step,
                    content.state(),
                    identity,
                    recipe,
                    content.optimizerSteps(),
                    content.best(),
                    content.patience());
            AtomicFiles.writeText(
                    temporary.resolve(STATE),
                    JSON.writerWithDefaultPrettyPrinter().writeValueAsString(saved) + "\n");
            parts.await(content.save());
            Manifest.write(temporary, Map.of("step", "" + step));
            if (Files.exists(target)) {
                remove(target);
            }
            Disk.rename(temporary, target);
            Disk.syncDirectory(output);
            rotate(step, content.best().step());
            return target;
        } catch (IOException e) {
            giveBack(temporary);
            throw new UncheckedIOException(target + " could not be written: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            giveBack(temporary);
            throw e;
        }
    }

    /// What a failed save has written fills a disk that may be full.
    private static void giveBack(Path temporary) {
        try {
            Disk.deleteTree(temporary);
        } catch (IOException e) {
            // what made the save fail is told; the next run cleans up
        }
    }

    /// Tries whether checkpoints can be written here at all, before anything is trained: there is room for one, and
    /// the first tensors of the model, at most 256 MiB of them, are written as they will be, and deleted.
    ///
    /// @param model what weights are saved
    /// @throws RuntimeException if they cannot
    void tryOut(List<TensorSource> model, Map<String, Tensor> optimizer) {
        Path temporary = output.resolve(".tmp-checkpoint-0");
        try {
            long bytes = model.stream().mapToLong(TensorSource::byteSize).sum();
            checkRoom(bytes, OptimizerFile.sources(optimizer));
            List<TensorSource> some = new ArrayList<>();
            long left = TRIAL_BYTES;
            for (TensorSource tensor : model) {
                left -= tensor.byteSize();
                if (left >= 0 || some.isEmpty()) {
                    some.add(tensor);
                }
            }
            Disk.createDirectories(temporary);
            SafetensorsWriter.write(temporary.resolve("trial.safetensors"), SafetensorsWriter.PYTORCH, some);
        } catch (IOException e) {
            throw new UncheckedIOException(output + " cannot hold checkpoints: " + e.getMessage(), e);
        } finally {
            giveBack(temporary);
        }
    }

    /// The newest whole checkpoint of this directory that a run at some step could go back to.
    ///
    /// @param step where the run stands
    /// @param except a checkpoint that it went back to before, which is only taken if there is no older one
    Optional<Path> toGoBackTo(long step, long except) {
        List<Path> whole = list(output).reversed().stream()
                .filter(path -> step(path) <= step && Manifest.fault(path).isEmpty())
                .limit(2)
                .toList();
        return whole.size() == 2 && step(whole.getFirst()) == except
                ? Optional.of(whole.getLast())
                : whole.stream().findFirst();
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

    /// The volume is that which the directory, links followed, lies on.
    private void checkRoom(long modelBytes, List<TensorSource> optimizer) throws IOException {
        long needed = modelBytes
                + (parts.sharded() ? parts.world().size() : 1)
                        * optimizer.stream().mapToLong(TensorSource::byteSize).sum();
        long free = Files.getFileStore(output.toRealPath()).getUsableSpace();
        if (free < needed) {
            throw new InputException(output + ": a checkpoint needs " + needed + " bytes, the disk has " + free
                    + " free\n  make room, or keep fewer checkpoints (--save-total-limit)");
        }
    }

    private void removeLeftovers() throws IOException {
        for (Path left : entries(output, "\\.(tmp|trash)-checkpoint-\\d+")) {
            Disk.deleteTree(left);
        }
    }

    /// Removes what killed runs left half written or half deleted and, for a run that starts anew, the checkpoints of
    /// an earlier one in the same directory: `latest` must not mean one of those.
    void clean(boolean anew) {
        try {
            removeLeftovers();
            AtomicFiles.deleteLeftovers(output);
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
        Disk.deleteTree(trash);
        Disk.rename(checkpoint, trash);
        Disk.deleteTree(trash);
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
        OptimizerFile.restore(checkpoint, optimizer.state(), optimizer.part(), optimizer.elements());
        optimizer.restored(saved.optimizerSteps);
        resumedFrom = saved.globalStep;
        String changed = recipe.entrySet().stream()
                .filter(e -> !e.getValue().equals(saved.recipe.get(e.getKey())))
                .map(e -> e.getKey() + " " + saved.recipe.get(e.getKey()) + " -> " + e.getValue())
                .collect(Collectors.joining(", "));
        String other = differences.strip().replace("\n  ", ", ");
        boolean sameCut = Objects.equals(recipe.get(MICRO_BATCH), saved.recipe.get(MICRO_BATCH));
        return new Restored(
                sameCut ? saved.state : saved.state.withMicroBatchTokens(0), // another size is wanted now
                Stream.of(other, changed).filter(text -> !text.isEmpty()).collect(Collectors.joining(", ")),
                saved.best,
                saved.patience);
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
                    String best = saved.best.step() == saved.globalStep
                            ? "  best " + saved.best.metric() + " " + saved.best.value()
                            : "";
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
}
