package org.sftnative.benchmarks;

import java.nio.file.Path;
import java.util.Arrays;
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
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;
import org.sftnative.config.CombineChoice;
import org.sftnative.data.Blend;
import org.sftnative.data.Dataset;
import org.sftnative.data.Document;
import org.sftnative.data.MicroBatch;
import org.sftnative.data.StepPlan;
import org.sftnative.data.StepShape;

/// An epoch of documents of Alpaca's lengths, from their order to the micro-batches of every step: 4,096 of a file, and
/// 1,024 drawn from a mixed set of 2,048. Read `rowsPerSecond`.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 3, time = 2)
@Fork(
        value = 3,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xmx1g"})
public class Packing {
    private static final int TRAINED = 4096;
    private static final int MIXED = 2048;
    private static final int DRAWN = 1024;
    private static final int ROWS = 16;
    private static final int MICRO_BATCH = 1024;
    private static final long SEED = 42;

    /// Tokens of a packed sequence; 0: steps of whole rows.
    @Param({"0", "2048"})
    int packed;

    private Dataset dataset;

    /// Rows put into micro-batches.
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rate {
        public long rowsPerSecond;
    }

    @Setup
    public void build() {
        List<Document> documents = Workload.BASE.documents(TRAINED + MIXED);
        dataset = new Dataset(
                documents,
                List.of(
                        new Dataset.Source(Path.of("rows"), "rows", 0, TRAINED, 0, 0),
                        new Dataset.Source(Path.of("mixed"), "rows", TRAINED, MIXED, 0, 0)),
                List.of(new Dataset.Mix(Path.of("mixed"), TRAINED, (double) DRAWN / (TRAINED + DRAWN))),
                new Dataset.Report(documents.size(), 0, 0, 0, List.of()));
        check();
    }

    /// Every document of the file comes once, and 1,024 others once; micro-batches are these documents, whole, and none
    /// is longer than it may be.
    private void check() {
        StepPlan plan = plan();
        int[] order = plan.documentsIn(0);
        int[] sorted = Arrays.stream(order).sorted().distinct().toArray();
        require(sorted.length == order.length && order.length == TRAINED + DRAWN, order.length + " documents");
        require(sorted[TRAINED - 1] == TRAINED - 1, "a document of the file is missing");
        long steps = plan.stepsIn(0);
        int[] lengths = new int[order.length];
        long ids = 0;
        int rows = 0;
        for (long step = 0; step < steps; step++) {
            for (MicroBatch micro : plan.step(step).microBatches()) {
                int[] ends = micro.cuSeqlens();
                require(ends.length == 2 || micro.tokens() <= MICRO_BATCH, "a micro-batch of " + micro.tokens());
                for (int i = 1; i < ends.length; i++) {
                    lengths[rows++] = ends[i] - ends[i - 1];
                }
                ids += Arrays.stream(micro.inputIds()).asLongStream().sum();
            }
        }
        int[] expected = Arrays.stream(order)
                .map(i -> dataset.documents().get(i).length())
                .sorted()
                .toArray();
        Arrays.sort(lengths);
        require(rows == order.length && Arrays.equals(expected, lengths), rows + " rows of other lengths");
        long sum = Arrays.stream(order)
                .mapToLong(i -> Arrays.stream(dataset.documents().get(i).inputIds())
                        .asLongStream()
                        .sum())
                .sum();
        require(ids == sum, "ids sum up to " + ids + ", must to " + sum);
    }

    @Benchmark
    public void epoch(Rate rate, Blackhole sink) {
        StepPlan plan = plan();
        long steps = plan.stepsIn(0);
        for (long step = 0; step < steps; step++) {
            sink.consume(plan.step(step));
        }
        rate.rowsPerSecond += TRAINED + DRAWN;
    }

    private StepPlan plan() {
        return new StepPlan(
                dataset,
                new StepShape(ROWS, 0, packed),
                new Blend(dataset, CombineChoice.CONCATENATE, SEED, true),
                MICRO_BATCH,
                SEED,
                true);
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }
}
