package org.sftnative.benchmarks;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.ScalarResult;
import org.sftnative.benchmarks.guard.Results;

/// `threadSeconds` of benchmarks that take a [Clock]: CPU time of the thread that measures, the median of an
/// iteration's
/// invocations. What other processes do in the meantime, and the compiler's threads, is hardly in it, so that forks
/// differ by less than in wall time.
public final class CpuTime implements InternalProfiler {
    private static final List<Long> NANOS = new ArrayList<>();

    /// Around each invocation, which should take a millisecond or more.
    @State(Scope.Thread)
    public static class Clock {
        private long began;

        @Setup(Level.Invocation)
        public void begin() {
            began = now();
        }

        @TearDown(Level.Invocation)
        public void end() {
            NANOS.add(now() - began);
        }

        private static long now() {
            return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        }
    }

    @Override
    public String getDescription() {
        return "CPU time of the measuring thread";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {
        NANOS.clear();
    }

    @Override
    public List<ScalarResult> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        if (NANOS.isEmpty()) {
            return List.of();
        }
        long median = NANOS.stream().sorted().toList().get(NANOS.size() / 2);
        double seconds = median / 1e9 / benchmark.getOpsPerInvocation();
        return List.of(new ScalarResult(Results.THREAD_SECONDS, seconds, "s/op", AggregationPolicy.AVG));
    }
}
