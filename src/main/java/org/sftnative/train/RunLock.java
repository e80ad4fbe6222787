package org.sftnative.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.sftnative.InputException;

/// Keeps a second run out of an output directory. The lock is the operating system's, on the file `.lock`, and dies
/// with its owner: what a killed run leaves is a file, not a lock.
final class RunLock implements AutoCloseable {
    private static final String NAME = ".lock";

    /// What this process holds. On POSIX systems closing any channel of a file frees the process's lock on it: a second
    /// channel of a file that is locked must never be opened.
    private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

    private final Path file;
    private final FileChannel channel;

    private RunLock(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /// @param directory exists
    /// @throws InputException if another run holds it, saying which, or the directory may not be written to
    static RunLock acquire(Path directory) {
        Path file = OutputDirectory.real(directory).resolve(NAME);
        if (!HELD.add(file)) {
            throw held(directory, "this process");
        }
        try {
            FileChannel channel = locked(directory, file);
            String owner = "process " + ProcessHandle.current().pid() + " since "
                    + Instant.now().truncatedTo(ChronoUnit.SECONDS);
            channel.truncate(0);
            channel.write(ByteBuffer.wrap(owner.getBytes(StandardCharsets.UTF_8)));
            return new RunLock(file, channel);
        } catch (AccessDeniedException e) {
            HELD.remove(file);
            throw new InputException(
                    directory + " cannot be written to: no permission\n  choose another --output-dir", e);
        } catch (IOException e) {
            HELD.remove(file);
            throw new UncheckedIOException(file + " cannot be locked: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            HELD.remove(file);
            throw e;
        }
    }

    private static FileChannel locked(Path directory, Path file) throws IOException {
        while (true) {
            FileChannel channel = FileChannel.open(
                    file,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.READ,
                    StandardOpenOption.WRITE,
                    LinkOption.NOFOLLOW_LINKS); // a link's target would be written over
            Optional<Object> opened = key(file);
            FileLock lock = channel.tryLock();
            if (lock == null) {
                channel.close();
                try {
                    throw held(directory, Files.readString(file));
                } catch (NoSuchFileException ended) {
                    continue; // the owner, meanwhile
                }
            }
            // an owner that ended meanwhile took the file's name with it: a lock on that file keeps nobody out
            if (opened.isPresent() && opened.equals(key(file))) {
                return channel;
            }
            channel.close();
        }
    }

    private static Optional<Object> key(Path file) throws IOException {
        try {
            return Optional.of(
                    Files.readAttributes(file, BasicFileAttributes.class).fileKey());
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private static InputException held(Path directory, String owner) {
        return new InputException(directory + " is in use by another run, " + owner
                + "\n  wait for its end, stop it (kill, or touch " + directory.resolve("stop")
                + "), or choose another --output-dir");
    }

    /// Frees the directory; the file goes first, while nobody else can hold it.
    @Override
    public void close() {
        try (channel) {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // a file without a lock keeps nobody out
        } finally {
            HELD.remove(file);
        }
    }
}
