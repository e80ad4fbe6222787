package org.sftnative.benchmarks;

import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Device;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.sftnative.ops.CudaOps;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Torch;

/// Each kernel of `native/` at the shapes of a 7B model, bf16, as the engine calls it. An operation is `LAUNCHES` calls
/// and one wait for the card (one call where the kernel overwrites its input, which is made anew before each). Read
/// `bytesPerSecond`: bytes that must move, beside 3.0 TB/s on an H100.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 1, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(
        value = 3,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xmx4g"})
public class CardKernels {
    private static final int LAUNCHES = 16;

    @Param
    KernelCase kernel;

    private Device device;
    private CudaOps ops;
    private KernelCase.Task task;

    /// Bytes that must move.
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rate {
        public double bytesPerSecond;
    }

    @Setup
    public void build() {
        Torch.start(0);
        device = Devices.parse("cuda");
        ops = switch (CudaOps.probe(device)) {
            case CudaOps.Probe.Ready(CudaOps ready, String _) -> ready;
            case CudaOps.Probe.Missing(String reason) -> throw new IllegalStateException(reason);
        };
        kernel.check(ops, device);
        task = kernel.task(KernelCase.TOKENS, device);
    }

    @Setup(Level.Invocation)
    public void renew() {
        task.renew();
        Devices.synchronize(device);
    }

    @Benchmark
    public void run(Rate rate) {
        int launches = task.overwrites() ? 1 : LAUNCHES;
        for (int i = 0; i < launches; i++) {
            task.run(ops);
        }
        Devices.synchronize(device);
        rate.bytesPerSecond += launches * task.bytes();
    }

    @TearDown
    public void close() {
        task.close();
    }
}
