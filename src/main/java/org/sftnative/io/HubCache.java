package org.sftnative.io;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/// One model's entry in the Hub's cache, laid out as huggingface_hub does, which may use it too:
/// `models--ORG--NAME/blobs/ETAG` are the files, `snapshots/COMMIT/NAME` links to them,
/// `refs/REVISION` names a commit.
final class HubCache {
    private final Path entry;
    private final Path locks;

    /// @param cache the directory of all entries
    HubCache(Path cache, HubName name) {
        String folder = "models--" + name.organisation() + "--" + name.model();
        entry = cache.resolve(folder);
        locks = cache.resolve(".locks").resolve(folder);
    }

    /// The commit that a revision was when it was last asked for.
    Optional<String> commit(String revision) {
        if (HubName.isCommit(revision)) {
            return Optional.of(revision);
        }
        try {
            return Optional.of(Files.readString(entry.resolve("refs").resolve(revision))
                            .strip())
                    .filter(HubName::isCommit);
        } catch (IOException e) {
            return Optional.empty(); // none, or a directory: `refs/pr`
        }
    }

    /// Notes which commit a revision is.
    void note(String revision, String commit) throws IOException {
        if (HubName.isCommit(revision)
                || commit(revision).filter(commit::equals).isPresent()) {
            return;
        }
        Path ref = entry.resolve("refs").resolve(revision);
        Files.createDirectories(ref.getParent());
        AtomicFiles.writeText(ref, commit);
    }

    /// The model directory of a commit.
    Path snapshot(String commit) {
        return entry.resolve("snapshots").resolve(commit);
    }

    /// Where the content of a file is kept.
    Path blob(String etag) {
        return entry.resolve("blobs").resolve(etag);
    }

    /// What has come of a file so far. A name that huggingface_hub does not use: it writes to its
    /// own without our lock.
    Path incomplete(String etag) {
        return entry.resolve("blobs").resolve(etag + ".sft-native.incomplete");
    }

    /// Makes a file of a commit from its blob: a relative link, so that the cache may be moved; a
    /// copy, where the file system has no links.
    void link(String commit, String file, Path blob) throws IOException {
        Path pointer = snapshot(commit).resolve(file);
        Path folder = Files.createDirectories(pointer.getParent());
        if (Files.exists(pointer) && Files.isSameFile(pointer, blob)) {
            return;
        }
        Path temporary = folder.resolve("." + pointer.getFileName() + "."
                + Long.toHexString(ThreadLocalRandom.current().nextLong()));
        try {
            Files.createSymbolicLink(temporary, folder.relativize(blob));
            Files.move(temporary, pointer, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (UnsupportedOperationException e) {
            AtomicFiles.copy(blob, pointer);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /// Waits until nobody else, in this process or another, fetches the file; closing lets the next
    /// one.
    FileChannel lock(String etag) throws IOException {
        Files.createDirectories(locks);
        FileChannel channel =
                FileChannel.open(locks.resolve(etag + ".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            while (true) {
                try {
                    FileLock lock = channel.tryLock();
                    if (lock != null) {
                        return channel;
                    }
                } catch (OverlappingFileLockException e) {
                    // a thread of this process has it
                }
                Thread.sleep(50);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            channel.close();
            throw new HubException("the download was stopped", e);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /// Bytes that may still be written beside the blobs.
    long usableSpace() throws IOException {
        return Files.getFileStore(Files.createDirectories(entry.resolve("blobs")))
                .getUsableSpace();
    }

    /// Bytes of a file that may not be there.
    static long size(Path file) throws IOException {
        try {
            return Files.size(file);
        } catch (NoSuchFileException e) {
            return 0;
        }
    }
}
