package org.sftnative.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What is asked of a run from outside, and answered between two steps: to save now (`touch OUT/save`), or to save and
/// end (`touch OUT/stop`, a signal). Any thread may ask.
public final class RunControl {
    private static final String SAVE = "save";
    private static final String STOP = "stop";

    private final Instant since = Instant.now();
    private volatile boolean stop;

    /// A wish.
    public enum Request {
        NONE,
        SAVE,
        STOP
    }

    /// Asks the run to finish its step, save, and end.
    public void stop() {
        stop = true;
    }

    /// What is asked for now; a file that asked is removed, so that it is answered once.
    ///
    /// @param output where files may ask; none on a rank that has no output
    Request request(Optional<Path> output) {
        boolean stopFile = output.map(path -> taken(path.resolve(STOP))).orElse(false);
        boolean saveFile = output.map(path -> taken(path.resolve(SAVE))).orElse(false);
        return stop || stopFile ? Request.STOP : saveFile ? Request.SAVE : Request.NONE;
    }

    /// Removes what asked an earlier run, and came too late for it: it must not stop this one. What was asked since
    /// this control was made stays.
    ///
    /// @return the names of the files that were removed
    List<String> forgetOld(Path output) {
        List<String> old = new ArrayList<>();
        for (String name : List.of(STOP, SAVE)) {
            Path file = output.resolve(name);
            try {
                if (asks(file) && Files.getLastModifiedTime(file).toInstant().isBefore(since)) {
                    Files.deleteIfExists(file);
                    old.add(name);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(file + " cannot be removed: " + e.getMessage(), e);
            }
        }
        return old;
    }

    /// A directory of that name is somebody's, and asks for nothing.
    private static boolean asks(Path file) {
        return Files.exists(file) && !Files.isDirectory(file);
    }

    private static boolean taken(Path file) {
        try {
            return asks(file) && Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be removed: " + e.getMessage(), e);
        }
    }
}
