package org.sftnative.metrics;

/// Hears every event of a run, on the thread of the loop, in order. It must be quick; it must not throw for
/// what it can leave out (a progress line on a closed terminal is no reason to lose a run).
@FunctionalInterface
public interface RunListener extends AutoCloseable {
    void on(RunEvent event);

    @Override
    default void close() {}
}
