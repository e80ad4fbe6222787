package org.sftnative.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/// What this process changes on the disk, until it is closed: failing from some change on, as `-Dsftnative.fault` lets
/// a
/// process of its own, without the seconds that one takes to start; or written down.
public final class FaultyDisk implements AutoCloseable {
    private final List<String> changes = new CopyOnWriteArrayList<>();

    /// @param fault `full@17` or `broken@17`
    public FaultyDisk(String fault) {
        Disk.use(Fault.of(fault));
    }

    private FaultyDisk() {
        Disk.use(new Fault("", Long.MAX_VALUE) {
            @Override
            void before(String change, Path path) {
                changes.add(change + " " + path);
            }

            @Override
            void beforeWrite(FileChannel to, ByteBuffer bytes) throws IOException {
                changes.add("write");
            }
        });
    }

    /// One that works, and remembers.
    public static FaultyDisk remembering() {
        return new FaultyDisk();
    }

    /// Each with the path that it was done to, in order: `create`, `write` (without), `sync`, `rename` (the new name),
    /// `delete`, `directory`.
    public List<String> changes() {
        return changes;
    }

    @Override
    public void close() {
        Disk.use(Fault.of(""));
    }
}
