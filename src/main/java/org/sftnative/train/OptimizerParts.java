package org.sftnative.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.dist.World;
import org.sftnative.io.SafetensorsWriter;

/// The optimizer's files of a checkpoint: one, or one of each rank where each has a part of the state.
/// All ranks write at the same time, into the directory that rank 0 makes; rank 0 waits for all before
/// the checkpoint is one.
///
/// @param world the ranks
/// @param sharded whether each has a part
/// @param waitMs how long rank 0 waits for the others, and they for it
record OptimizerParts(World world, boolean sharded, long waitMs) {
    static final OptimizerParts WHOLE = new OptimizerParts(World.ALONE, false, 0);

    private static final String FILE = "optimizer.safetensors";
    private static final String BEGUN = "begun";
    private static final String WRITTEN = "written";

    /// The file of one of several parts.
    static Path file(Path directory, int rank, int size) {
        return directory.resolve(
                size == 1 ? FILE : String.format("optimizer-%05d-of-%05d.safetensors", rank + 1, size));
    }

    /// How many parts a checkpoint has.
    static int count(Path directory) {
        return IntStream.iterate(1, size -> size + 1)
                .limit(1 << 20)
                .filter(size -> Files.exists(file(directory, 0, size)))
                .findFirst()
                .orElse(1);
    }

    /// Rank 0: lets the others write theirs.
    ///
    /// @param save number of this save, the same on every rank
    void begin(long save, Path directory) {
        if (sharded) {
            world.leave(name(save, BEGUN), directory.toString());
        }
    }

    /// Writes this rank's.
    void write(Path directory, Map<String, Tensor> optimizer) {
        Path file = file(directory, world.rank(), sharded ? world.size() : 1);
        SafetensorsWriter.write(file, SafetensorsWriter.PYTORCH, OptimizerFile.sources(optimizer));
    }

    /// Another rank: writes its own where rank 0 says.
    void follow(long save, Map<String, Tensor> optimizer) {
        try {
            write(Path.of(word(name(save, BEGUN), "rank 0 began no checkpoint")), optimizer);
            world.leave(name(save, WRITTEN + world.rank()), "");
        } catch (RuntimeException e) {
            world.leave(name(save, WRITTEN + world.rank()), "" + e.getMessage());
            throw e;
        }
    }

    /// Rank 0: waits until all have written theirs.
    ///
    /// @throws IllegalStateException if one could not
    void await(long save) {
        for (int rank = 1; sharded && rank < world.size(); rank++) {
            String fault = word(name(save, WRITTEN + rank), "rank " + rank + " has not written its part");
            if (!fault.isEmpty()) {
                throw new IllegalStateException("rank " + rank + " could not write its part: " + fault);
            }
        }
    }

    private String word(String name, String otherwise) {
        for (long waited = 0; waited < waitMs; waited += 50) {
            var word = world.left(name);
            if (word.isPresent()) {
                return word.get();
            }
            sleep();
        }
        throw new IllegalStateException(otherwise + " within " + waitMs / 1000 + " s (--ddp-timeout)");
    }

    private static void sleep() {
        try {
            Thread.sleep(50);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a checkpoint was written", e);
        }
    }

    private static String name(long save, String what) {
        return "save/" + save + "/" + what;
    }
}
