package org.sftnative.benchmarks;

import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;
import org.sftnative.tensor.Torch;
import org.sftnative.train.RunState;

/// What the host does beside the mathematics, on one thread of the CPU: a step of the training loop, and one call of
/// `Ops`, with so few numbers in each tensor that computing takes next to nothing. Judged by `threadSeconds`.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 3, time = 2)
@Fork(
        value = 3,
        jvmArgsAppend = {
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "-Xmx1g",
            "-XX:+UseSerialGC"
        })
public class HostOverhead {
    private static final int CALLS = 1000;
    private static final long WIDTH = 8;
    private static final double EPS = 1e-5;

    private final Ops ops = new AtenOps();
    private TrainRun run;
    private Tensor x;
    private Tensor weight;
    private Tensor y;
    private Tensor rstd;

    @Setup
    public void build() {
        Torch.start(1);
        run = new TrainRun(Workload.NARROW, "fused", Devices.cpu(), UnaryOperator.identity());
        run.check();
        x = Scopes.keep(
                () -> Tensors.zeros(ScalarType.Float, Devices.cpu(), 1, WIDTH).fill_(new Scalar(3.0)));
        weight = Scopes.keep(
                () -> Tensors.zeros(ScalarType.Float, Devices.cpu(), WIDTH).fill_(new Scalar(2.0)));
        y = Scopes.keep(() -> Tensors.empty(ScalarType.Float, Devices.cpu(), 1, WIDTH));
        rstd = Scopes.keep(() -> Tensors.empty(ScalarType.Float, Devices.cpu(), 1, 1));
        norm();
        double norm = 3 / Math.sqrt(9 + EPS) * 2;
        if (Math.abs(y.mean().item_double() - norm) > 1e-5) {
            throw new IllegalStateException("norm of threes " + y.mean().item_double() + ", must be " + norm);
        }
    }

    @Benchmark
    @OperationsPerInvocation(TrainRun.STEPS)
    public RunState step(CpuTime.Clock clock) {
        return run.run();
    }

    /// A norm of 8 numbers.
    @Benchmark
    @OperationsPerInvocation(CALLS)
    public Tensor call(CpuTime.Clock clock) {
        for (int i = 0; i < CALLS; i++) {
            norm();
        }
        return y;
    }

    private void norm() {
        try (PointerScope _ = new PointerScope()) {
            ops.rmsNorm(x, weight, EPS, y, rstd);
        }
    }

    @TearDown
    public void close() {
        run.close();
        Scopes.free(x);
        Scopes.free(weight);
        Scopes.free(y);
        Scopes.free(rstd);
    }
}
