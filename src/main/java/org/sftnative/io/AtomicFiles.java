package org.sftnative.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// Files that are there whole or not at all: written beside their place under a temporary name, fsynced, renamed,
/// the directory fsynced. After a failure the old file, if any, is still there and the temporary one is not; after
/// a kill the temporary one, `.NAME.tmp-*`, may be left.
public final class AtomicFiles {
    /// What [#write] calls a file until it is whole, a regular expression.
    private static final String TEMPORARY = "\\..+\\.tmp-[0-9a-f]{1,16}";

    /// Writes a file's content; each write of the channel writes all that it is given.
    @FunctionalInterface
    public interface Body {
        void write(WritableByteChannel to) throws IOException;
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
            Disk.create(temporary, body);
            Disk.rename(temporary, target);
            Disk.syncDirectory(directory);
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
        write(target, to -> to.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8))));
    }

    /// Copies a file, as [#write] does.
    public static void copy(Path from, Path target) {
        write(target, to -> {
            try (FileChannel source = FileChannel.open(from, StandardOpenOption.READ)) {
                ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
                while (source.read(buffer) >= 0) {
                    to.write(buffer.flip());
                    buffer.clear();
                }
            }
        });
    }

    /// Deletes what killed processes left half written in a directory. No other process may be writing there.
    public static void deleteLeftovers(Path directory) throws IOException {
        try (Stream<Path> entries = Files.list(directory)) {
            for (Path entry : entries.toList()) {
                if (entry.getFileName().toString().matches(TEMPORARY)
                        && Files.isRegularFile(entry, LinkOption.NOFOLLOW_LINKS)) {
                    Disk.delete(entry);
                }
            }
        }
    }

    private static void deleteQuietly(Path temporary) {
        try {
            Disk.delete(temporary);
        } catch (IOException e) {
            // what made the write fail is told; a temporary file that stays harms nobody
        }
    }
}
