package org.sftnative.benchmarks;

import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Device;
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

/// Steps of real model shapes on a card, bf16: an operation is a round of a case of [CardRun], whose rows are the same
/// in every round. Read `tokensPerSecond` (real tokens) and `allocatedPeakBytes`.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 1, time = 1)
@Measurement(iterations = 3, time = 3)
@Fork(
        value = 3,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xmx4g"})
public class CardStep {
    /// The rows of benchmarks/README.md.
    @Param({
        "seed7b",
        "fix7b_2048:micro=4096",
        "fix8b_4096:micro=4096",
        "qwen7b_1024:micro=4096",
        "seed1b",
        "fix1b_2048:micro=16384,recompute=none",
        "seed135m",
        "fix135m_512:recompute=none",
        "seed7b:lora=16",
        "row7b_512:lora=16,base=nf4_double,recompute=full"
    })
    String workload;

    @Param("cuda")
    String device;

    private CardRun run;

    /// Real tokens trained.
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rate {
        public long tokensPerSecond;
    }

    /// The loss of random weights is near the logarithm of the vocabulary, and the gradient is finite.
    @Setup
    public void build() {
        Torch.start(0);
        Device place = Devices.parse(device);
        run = new CardRun(workload, place);
        CardRun.Step first = run.step();
        if (!(first.loss() > 5 && first.loss() < 14) || !(first.norm() > 0) || Double.isInfinite(first.norm())) {
            throw new IllegalStateException(workload + ": " + first);
        }
    }

    @Benchmark
    public double round(Rate rate) {
        run.rewind();
        double loss = 0;
        for (int i = 0; i < run.steps(); i++) {
            CardRun.Step step = run.step();
            rate.tokensPerSecond += step.tokens();
            loss += step.loss();
        }
        run.await();
        return loss;
    }

    @TearDown
    public void close() {
        run.close();
    }
}
