package org.sftnative.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;

/// Lets two processes measure in turns, an iteration each: whoever measures holds a lock on the file that
/// [#VARIABLE] names. What else the machine does from second to second then meets both alike.
public final class Turns implements InternalProfiler {
    /// The environment variable; without it, nobody waits.
    public static final String VARIABLE = "SFT_BENCH_TURNS";

    private FileLock lock;

    @Override
    public String getDescription() {
        return "waits for its turn before each iteration";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {
        String file = System.getenv().getOrDefault(VARIABLE, "");
        if (file.isEmpty()) {
            return;
        }
        try {
            lock = FileChannel.open(Path.of(file), StandardOpenOption.CREATE, StandardOpenOption.WRITE)
                    .lock();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public List<? extends Result<?>> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        if (lock != null) {
            try {
                lock.acquiredBy().close(); // and the lock with it
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            lock = null;
        }
        return List.of();
    }
}
