package org.sftnative.support;

import java.util.concurrent.locks.LockSupport;
import org.bytedeco.javacpp.Pointer;

/// How many native objects this process holds. JavaCPP counts them only where its collector is on, as the build's
/// tests have it; in the program it is off, and the count is always 0: a test of leaks that could not fail.
public final class LivePointers {
    private LivePointers() {}

    /// @throws IllegalStateException if nothing is counted
    public static long count() {
        if (!"false".equals(System.getProperty("org.bytedeco.javacpp.nopointergc"))) {
            throw new IllegalStateException("pointers are not counted: run with"
                    + " -Dorg.bytedeco.javacpp.nopointergc=false, as pom.xml does");
        }
        return Pointer.totalCount();
    }

    /// As {@link #count}, when nothing is left that the collector would free: what earlier tests of the process let go
    /// would be counted down in the midst of the caller's.
    public static long settled() {
        long now = count();
        long before;
        do {
            before = now;
            System.gc();
            LockSupport.parkNanos(100_000_000); // JavaCPP frees in a thread of its own
            now = count();
        } while (now != before);
        return now;
    }
}
