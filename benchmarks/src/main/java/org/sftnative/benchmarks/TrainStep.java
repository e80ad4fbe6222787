package org.sftnative.benchmarks;

import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Torch;
import org.sftnative.train.RunState;

/// The training loop itself: an operation is four steps of it, fp32, from packing to update. Evaluation, checkpoints
/// and listeners are left out. Read `tokensPerSecond` (real tokens) and `residentPeakBytes`.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 1, time = 10)
@Measurement(iterations = 3, time = 10)
@Fork(
        value = 3,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xmx2g"})
public class TrainStep {
    @Param({"BASE", "TINY"})
    Workload workload;

    @Param({"fused", "reference", "lora"})
    String engine;

    @Param("cpu")
    String device;

    /// CPU threads; 0: one for each core.
    @Param("0")
    int threads;

    private TrainRun run;

    /// Real tokens trained.
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rate {
        public long tokensPerSecond;
    }

    @Setup
    public void build() {
        Torch.start(threads);
        run = new TrainRun(workload, engine, Devices.parse(device), UnaryOperator.identity());
        run.check();
    }

    @Benchmark
    public RunState run(Rate rate) {
        RunState end = run.run();
        rate.tokensPerSecond += end.tokens();
        return end;
    }

    @TearDown
    public void close() {
        run.close();
    }
}
