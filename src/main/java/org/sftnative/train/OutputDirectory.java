package org.sftnative.train;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// A directory that something is about to be written into.
///
/// @param path need not exist
record OutputDirectory(Path path) {
    /// What is there while a run starts, and stays if it is killed then: nobody's work.
    private static final String OURS = "\\.lock|\\.(tmp|trash)-checkpoint-\\d+";

    /// Refuses a directory that is a file, or in use.
    ///
    /// @param mayBeInUse whether the user said that what is there may be replaced or gone on with
    /// @param otherwise what to do about one in use, besides choosing another
    /// @throws InputException naming the directory
    void check(boolean mayBeInUse, String otherwise) {
        if (Files.exists(path) && !Files.isDirectory(path)) {
            throw new InputException(path + " is a file\n  choose another --output-dir");
        }
        if (mayBeInUse || !Files.exists(path)) {
            return;
        }
        try (Stream<Path> entries = Files.list(path)) {
            if (entries.anyMatch(entry -> !entry.getFileName().toString().matches(OURS))) {
                throw new InputException(path + " is not empty\n  choose another --output-dir, " + otherwise);
            }
        } catch (IOException e) {
            throw new InputException(path + " cannot be read: " + e.getMessage(), e);
        }
    }

    /// Refuses a directory that holds the model, or lies in it: what training reads must not be written over.
    ///
    /// @throws InputException naming both
    void checkApart(Path model) {
        Path output = real();
        Path source = real(model);
        if (output.startsWith(source) || source.startsWith(output)) {
            String how = output.equals(source)
                    ? " is the directory of the model itself"
                    : output.startsWith(source) ? " lies in the directory of the model" : " is around the model";
            throw new InputException(
                    path + how + ", " + model + "\n  choose another --output-dir, the model could be written over");
        }
    }

    boolean exists() {
        return Files.isDirectory(path);
    }

    /// The directory's absolute path, links followed.
    Path real() {
        return real(path);
    }

    /// A path's absolute form, with the links of the part that exists followed.
    static Path real(Path path) {
        Path absolute = path.toAbsolutePath();
        try {
            return absolute.toRealPath();
        } catch (IOException notThere) {
            Path parent = absolute.getParent();
            return parent == null
                    ? absolute
                    : real(parent).resolve(absolute.getFileName()).normalize();
        }
    }

    /// Makes it.
    void create() {
        try {
            Files.createDirectories(path);
        } catch (IOException e) {
            String reason = e instanceof FileSystemException f && f.getReason() != null ? f.getReason() : e.toString();
            throw new InputException(path + " cannot be created: " + reason + "\n  choose another --output-dir", e);
        }
    }
}
