package org.sftnative.benchmarks;

import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
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
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.QuantisedMatrix;
import org.sftnative.ops.Quantiser;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;
import org.sftnative.tensor.Torch;

/// A matrix (2048, 2048) made from its few bits, in fp32 on the CPU: what every product with a quantised weight costs
/// besides itself. A product with 512 tokens takes 4.3 GFLOP, about 21 ms on two cores.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 3, time = 2)
@Fork(
        value = 2,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"})
public class Dequantisation {
    private static final int SIZE = 2048;

    @Param({"NF4_DOUBLE", "NF4", "INT8"})
    Quantiser.Kind kind;

    private Quantiser quantiser;
    private QuantisedMatrix matrix;
    private Tensor to;

    @Setup
    public void build() {
        Torch.start(0);
        quantiser = new Quantiser(kind, Devices.cpu());
        to = Scopes.keep(() -> Tensors.zeros(ScalarType.Float, Devices.cpu(), SIZE, SIZE));
        try (PointerScope _ = new PointerScope()) {
            Tensor weights = torch.randn(new long[] {SIZE, SIZE}, Tensors.options(ScalarType.Float, Devices.cpu()));
            matrix = quantiser.quantise(weights);
            read();
            check(to.sub(weights).norm().item_double() / weights.norm().item_double());
        }
    }

    /// Normal weights lose about 9% (root mean square) in four bits and 0.7% in eight, and never nothing.
    private void check(double error) {
        double most = kind == Quantiser.Kind.INT8 ? 0.01 : 0.11;
        if (!(error > 0.001 && error < most)) {
            throw new IllegalStateException(kind + " is off by " + error + ", at most " + most);
        }
    }

    @Benchmark
    public Tensor read() {
        new AtenOps().dequantise(matrix, to);
        return to;
    }

    @TearDown
    public void close() {
        matrix.close();
        quantiser.close();
        Scopes.free(to);
    }
}
