package org.sftnative.io;

/// A disk of this process that fails from some change on, until it is closed: what `-Dsftnative.fault` is for a process
/// of
/// its own, without the seconds that one takes to start.
public final class FaultyDisk implements AutoCloseable {
    /// @param fault `full@17` or `broken@17`
    public FaultyDisk(String fault) {
        Disk.use(Fault.of(fault));
    }

    @Override
    public void close() {
        Disk.use(Fault.of(""));
    }
}
