package org.sftnative.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;
import org.sftnative.InputException;

/// Files that are there whole or not at all: written beside their place under a temporary name, fsynced, renamed,
/// the directory fsynced. After a failure the old file, if any, is still there and the temporary one is not; after
/// a kill the temporary one, `.NAME.tmp-*`, may be left.
public final class AtomicFiles {
    /// Writes a file's content.
    @FunctionalInterface
    public interface Body {
        void write(FileChannel to) throws IOException;
    }

    private AtomicFiles() {}

    /// Writes `target`, replacing it if it exists. Its directory must exist.
    ///
    /// @throws InputException if the directory may not be written to
    /// @throws UncheckedIOException naming `target`, for whatever else the disk refuses
    public static void write(Path target, Body body) {
        Path directory = target.toAbsolutePath().getParent();
        Path temporary = directory.resolve("." + target.getFileName() + ".tmp-"
                + Long.toHexString(ThreadLocalRandom.current().nextLong()));
        try {
            try (FileChannel channel =
                    FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                body.write(channel);
                channel.force(true);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            syncDirectory(directory);
        } catch (AccessDeniedException e) {
            throw new InputException(target + " cannot be written: no permission\n  choose another directory", e);
        } catch (IOException e) {
            throw new UncheckedIOException(target + " cannot be written: " + e.getMessage(), e);
        } finally {
            deleteQuietly(temporary);
        }
    }

    /// Writes text in UTF-8, as [#write] does.
    public static void writeText(Path target, String text) {
        write(target, to -> {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                to.write(bytes);
            }
        });
    }

    /// Copies a file, as [#write] does.
    public static void copy(Path from, Path target) {
        write(target, to -> {
            try (FileChannel source = FileChannel.open(from, StandardOpenOption.READ)) {
                long size = source.size();
                for (long done = 0; done < size; ) {
                    long copied = source.transferTo(done, size - done, to);
                    if (copied <= 0) {
                        throw new IOException(from + " shrank while it was copied");
                    }
                    done += copied;
                }
            }
        });
    }

    /// Makes names that were created, renamed or deleted in a directory durable.
    public static void syncDirectory(Path directory) throws IOException {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private static void deleteQuietly(Path temporary) {
        try {
            Files.deleteIfExists(temporary);
        } catch (IOException e) {
            // what made the write fail is told; a temporary file that stays harms nobody
        }
    }
}
