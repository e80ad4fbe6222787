package org.sftnative.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// A directory that something is about to be written into.
///
/// @param path need not exist
record OutputDirectory(Path path) {
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
            if (entries.findAny().isPresent()) {
                throw new InputException(path + " is not empty\n  choose another --output-dir, " + otherwise);
            }
        } catch (IOException e) {
            throw new InputException(path + " cannot be read: " + e.getMessage(), e);
        }
    }

    /// Makes it.
    void create() {
        try {
            Files.createDirectories(path);
        } catch (IOException e) {
            throw new InputException(path + " cannot be created: " + e.getMessage(), e);
        }
    }
}
