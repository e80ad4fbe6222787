package org.sftnative.benchmarks;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
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
import org.sftnative.io.Disk;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.io.SafetensorsWriter;
import org.sftnative.io.TensorSource;
import org.sftnative.tensor.Dtype;

/// A file of 32M weights in 16 tensors: opened, checked and copied as fp32 from the page cache, as a model's
/// weights are loaded on the CPU; and written from fp32 until the disk has it, as each file of a checkpoint is.
/// Read `bytesPerSecond`: bytes of the file.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 3)
@Measurement(iterations = 3, time = 3)
@Fork(
        value = 3,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xmx2g"})
public class Safetensors {
    private static final int TENSORS = 16;
    private static final long COLUMNS = 2048;
    private static final long ELEMENTS = 1024 * COLUMNS;

    @Param({"BF16", "F32"})
    Dtype stored;

    private final Arena arena = Arena.ofShared();
    private MemorySegment target;
    private final List<TensorSource> sources = new ArrayList<>();
    private Path folder;
    private Path file;
    private long bytes;

    /// Bytes of the file.
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rate {
        public long bytesPerSecond;
    }

    @Setup
    public void build() throws IOException {
        target = arena.allocate(TENSORS * ELEMENTS * Float.BYTES, Float.BYTES);
        folder = Files.createTempDirectory("sft-native-benchmark-");
        file = folder.resolve("model.safetensors");
        for (int i = 0; i < TENSORS; i++) {
            MemorySegment weights = part(i);
            for (long j = 0; j < ELEMENTS; j++) {
                weights.setAtIndex(ValueLayout.JAVA_FLOAT, j, expected(i, j));
            }
            sources.add(TensorSource.of(name(i), List.of(ELEMENTS / COLUMNS, COLUMNS), weights, Dtype.F32, stored));
        }
        write();
        bytes = Files.size(file);
        target.fill((byte) 0);
        check();
    }

    /// Every weight is what was written.
    private void check() {
        read();
        for (int i = 0; i < TENSORS; i++) {
            for (long j = 0; j < ELEMENTS; j++) {
                float read = part(i).getAtIndex(ValueLayout.JAVA_FLOAT, j);
                if (read != expected(i, j)) {
                    throw new IllegalStateException(name(i) + ", element " + j + ": " + read);
                }
            }
        }
    }

    @Benchmark
    public MemorySegment load(Rate rate) {
        read();
        rate.bytesPerSecond += bytes;
        return target;
    }

    /// Over the file of the operation before, which stays whole until the new one is.
    @Benchmark
    public Path save(Rate rate) {
        write();
        rate.bytesPerSecond += bytes;
        return file;
    }

    @TearDown
    public void close() throws IOException {
        check();
        arena.close();
        Disk.deleteTree(folder);
    }

    private void write() {
        SafetensorsWriter.write(file, SafetensorsWriter.PYTORCH, sources);
    }

    private void read() {
        try (SafetensorsFile open = SafetensorsFile.open(file)) {
            for (int i = 0; i < TENSORS; i++) {
                open.read(name(i), Dtype.F32, part(i));
            }
        }
    }

    private MemorySegment part(int tensor) {
        return target.asSlice(tensor * ELEMENTS * Float.BYTES, ELEMENTS * Float.BYTES);
    }

    private static String name(int tensor) {
        return "model.layers." + tensor + ".weight";
    }

    /// A value that bf16 holds exactly, another for each neighbour and each tensor.
    private static float expected(int tensor, long element) {
        return (float) ((element * 31 + tensor) % 255 - 127) / 64;
    }
}
