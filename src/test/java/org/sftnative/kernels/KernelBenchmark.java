package org.sftnative.kernels;

import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Times every kernel at the shapes of a 7B model (T 16,384, C 4,096, F 11,008, V 32,000) and at 8B's vocabulary, on
/// random values: medians of 20 by events, and the bytes that must move. Prints a table; needs a card.
final class KernelBenchmark {
    private static final int T = 16_384;
    private static final int C = 4_096;
    private static final int F = 11_008;
    private static final int HEADS = 32;
    private static final int SIZE = 128;
    private static final int ROUNDS = 20;
    /// Launches between two events, so that the host's time to launch is hidden.
    private static final int BATCH = 8;
    private static final int LAUNCHES = 20_000;
    private static final long STREAM = 0;

    private final CudaKernels kernels;
    private final long noise;
    private final long zeros;
    private static final int NOISE = 1 << 25;
    private final List<Long> allocated = new ArrayList<>();

    private KernelBenchmark(CudaKernels kernels) {
        this.kernels = kernels;
        Random random = new Random(1);
        noise = allocate(2L * NOISE);
        zeros = allocate(2L * NOISE);
        kernels.elementwise().zero(zeros, 2L * NOISE, STREAM);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(2L * NOISE, 8);
            for (int i = 0; i < NOISE; i++) {
                host.setAtIndex(JAVA_SHORT, i, Bf16.round((float) random.nextGaussian()));
            }
            CudaDriver.toDevice(noise, host);
        }
    }

    private long allocate(long bytes) {
        long address = CudaDriver.allocate(bytes);
        allocated.add(address);
        return address;
    }

    /// n normal bf16 values.
    private long normals(long n) {
        long address = allocate(2 * n);
        refill(address, n);
        return address;
    }

    private void refill(long address, long n) {
        for (long at = 0; at < n; at += NOISE) {
            kernels.elementwise().add(noise, zeros, address + 2 * at, Math.min(NOISE, n - at), STREAM);
        }
    }

    private long zeros(long bytes) {
        long address = allocate(bytes);
        kernels.elementwise().zero(address, bytes, STREAM);
        return address;
    }

    private void free(int keep) {
        CudaDriver.synchronize(STREAM);
        while (allocated.size() > keep) {
            CudaDriver.free(allocated.removeLast());
        }
    }

    private void time(String name, double bytes, Runnable kernel) {
        time(name, bytes, BATCH, () -> {}, kernel);
    }

    private void time(String name, double bytes, Runnable prepare, Runnable kernel) {
        time(name, bytes, 1, prepare, kernel);
    }

    /// @param prepare runs before each round and is not timed: what a kernel overwrites is made anew
    private void time(String name, double bytes, int batch, Runnable prepare, Runnable kernel) {
        long from = CudaDriver.newEvent();
        long to = CudaDriver.newEvent();
        float[] ms = new float[ROUNDS];
        for (int i = -3; i < ROUNDS; i++) {
            prepare.run();
            CudaDriver.record(from, STREAM);
            for (int b = 0; b < batch; b++) {
                kernel.run();
            }
            CudaDriver.record(to, STREAM);
            CudaDriver.synchronize(STREAM);
            if (i >= 0) {
                ms[i] = CudaDriver.elapsedMs(from, to) / batch;
            }
        }
        Arrays.sort(ms);
        System.out.printf(
                "%-44s %8.4f ms (%.4f to %.4f) %8.3f GB %6.2f TB/s%n",
                name, ms[ROUNDS / 2], ms[0], ms[ROUNDS - 1], bytes / 1e9, bytes / ms[ROUNDS / 2] / 1e9);
    }

    private void rows() {
        int keep = allocated.size();
        long activation = 2L * T * C;
        long x = normals((long) T * C);
        long y = normals((long) T * C);
        long out = normals((long) T * C);
        long residual = normals((long) T * C);
        long weight = normals(C);
        long rstd = allocate(4L * T);
        RmsNorm norm = kernels.rmsNorm();
        time(
                "rmsnorm forward + add",
                4.0 * activation,
                () -> norm.forward(x, y, weight, 0, residual, out, rstd, T, C, 1e-5f, STREAM));
        time(
                "rmsnorm forward alone",
                2.0 * activation,
                () -> norm.forward(x, 0, weight, 0, 0, out, rstd, T, C, 1e-5f, STREAM));
        time("rmsnorm again", 2.0 * activation, () -> norm.again(x, weight, rstd, out, T, C, STREAM));
        long workspace =
                allocate(Math.max(norm.workspaceBytes(C), kernels.columns().workspaceBytes(3 * C)));
        long dWeight = allocate(4L * C);
        time(
                "rmsnorm backward + past, dw (2 launches)",
                4.0 * activation,
                () -> norm.backward(
                        x,
                        residual,
                        weight,
                        rstd,
                        y,
                        0,
                        y,
                        dWeight,
                        GradientType.BF16,
                        false,
                        workspace,
                        T,
                        C,
                        STREAM));
        time(
                "rmsnorm backward + past, no dw",
                4.0 * activation,
                () -> norm.backward(
                        x, residual, weight, rstd, y, 0, y, 0, GradientType.BF16, false, workspace, T, C, STREAM));
        time("add", 3.0 * activation, () -> kernels.elementwise().add(x, y, out, (long) T * C, STREAM));
        int width = (3 * HEADS) * SIZE;
        long qkv = normals((long) T * width);
        Rope.Angles angles = new Rope.Angles(table(0.8f), table(0.6f), zeros(4L * T));
        Rope.Heads heads = new Rope.Heads(HEADS, HEADS, SIZE);
        double rotated = 4.0 * T * 2 * HEADS * SIZE;
        time("rope in place", rotated, () -> kernels.rope().forward(qkv, 0, angles, heads, T, STREAM));
        time(
                "rope + bias in place",
                rotated * 1.5,
                () -> kernels.rope().forward(qkv, weight, angles, heads, T, STREAM));
        time(
                "rope backward from dq, dk, dv",
                rotated * 1.5,
                () -> kernels.rope().backward(x, y, residual, C, C, qkv, angles, heads, T, STREAM));
        long sums = allocate(4L * width);
        time(
                "column sums (T, 12288)",
                2.0 * T * width,
                () -> kernels.columns().sum(qkv, sums, T, width, GradientType.FP32, false, workspace, STREAM));
        free(keep);
        long gateUp = normals(2L * T * F);
        long act = normals((long) T * F);
        Runnable again = () -> refill(gateUp, 2L * T * F);
        time("swiglu forward", 6.0 * T * F, () -> kernels.swiGlu().forward(gateUp, act, T, F, STREAM));
        time("swiglu backward", 10.0 * T * F, again, () -> kernels.swiGlu().backward(act, gateUp, 0, T, F, STREAM));
        time(
                "swiglu backward + act",
                12.0 * T * F,
                again,
                () -> kernels.swiGlu().backward(act, gateUp, act, T, F, STREAM));
        free(keep);
    }

    /// The widest fused matrix of a 7B model, gate and up, into a buffer that is 16 columns wider.
    private void dequantise() {
        int keep = allocated.size();
        long rows = 2L * F;
        long n = rows * C;
        long codes = normals(n / 2); // n bytes: any are codes
        long scales = normals(n / 32);
        long table = normals(512);
        Dequantise.Target to = new Dequantise.Target(normals(rows * (C + 16)), rows, C, C + 16);
        Dequantise kernel = kernels.dequantise();
        double read = n / 2.0;
        time("nf4, fp32 scales", read + n / 16.0 + 2.0 * n, () -> kernel.nf4(codes, table, scales, to, STREAM));
        time(
                "nf4, 8-bit scales",
                read + n / 64.0 + 2.0 * n,
                () -> kernel.nf4(codes, table, scales, table, scales, table, to, STREAM));
        time("int8", 3.0 * n, () -> kernel.int8(codes, scales, to, STREAM));
        free(keep);
    }

    /// (2048, D / 2) of one value.
    private long table(float value) {
        int n = 2048 * SIZE / 2;
        float[] values = new float[n];
        Arrays.fill(values, value);
        long address = allocate(4L * n);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(4L * n, 8);
            host.copyFrom(MemorySegment.ofArray(values));
            CudaDriver.toDevice(address, host);
        }
        return address;
    }

    private void head() {
        int keep = allocated.size();
        for (int vocabulary : new int[] {32_000, 49_152, 81_920, 128_256, 152_064}) {
            int rows = 4096;
            long logits = normals((long) rows * vocabulary);
            long targets = zeros(4L * rows);
            long loss = allocate(4L * rows);
            time(
                    "cross-entropy " + rows + " x " + vocabulary,
                    4.0 * rows * vocabulary,
                    () -> refill(logits, (long) rows * vocabulary),
                    () -> kernels.crossEntropy()
                            .forwardBackward(
                                    logits, targets, false, loss, rows, vocabulary, vocabulary, 1e-3f, STREAM));
            free(keep);
        }
        int[] ids = new Random(3)
                .doubles(T)
                .mapToInt(u -> (int) (32_000 * u * u * u))
                .toArray();
        EmbeddingPlan plan = EmbeddingPlan.of(ids, 32_000);
        long weight = normals(32_000L * C);
        long dx = normals((long) T * C);
        try (Arena arena = Arena.ofConfined()) {
            long order = upload(arena, plan.order());
            long starts = upload(arena, plan.starts());
            long unique = upload(arena, plan.unique());
            long list = upload(arena, ids);
            time("embedding gather", 4.0 * T * C, () -> kernels.embedding().forward(weight, list, dx, T, C, STREAM));
            Embedding.Plan onDevice = new Embedding.Plan(order, starts, unique, plan.unique().length, plan.frequent());
            time(
                    "embedding gradient, beta 1, " + plan.unique().length + " ids",
                    2.0 * T * C + 4.0 * plan.unique().length * C,
                    () -> kernels.embedding().backward(dx, onDevice, weight, C, GradientType.BF16, true, STREAM));
        }
        free(keep);
    }

    private long upload(Arena arena, int[] values) {
        long address = allocate(4L * values.length);
        MemorySegment host = arena.allocate(4L * values.length, 8);
        host.copyFrom(MemorySegment.ofArray(values));
        CudaDriver.toDevice(address, host);
        return address;
    }

    private void optimizer() {
        int keep = allocated.size();
        long n = 1L << 29;
        long gradients = normals(n);
        long workspace = allocate(kernels.gradientNorm().workspaceBytes());
        long sumsq = allocate(8);
        long clip = allocate(GradientNorm.CLIP_BYTES);
        time(
                "gradient norm, bf16 (2 launches)",
                2.0 * n,
                () -> kernels.gradientNorm().squares(gradients, GradientType.BF16, n, sumsq, false, workspace, STREAM));
        kernels.gradientNorm().clip(sumsq, 1, clip, STREAM);
        int[] weightBytes = {8, 4, 4, 8};
        double[] momentBytes = {16, 8, 4 + 16.0 / 256};
        for (AdamW.Weights weights : AdamW.Weights.values()) {
            for (AdamW.Moments moments : AdamW.Moments.values()) {
                int before = allocated.size();
                long w = weights == AdamW.Weights.FP32 ? zeros(4 * n) : normals(n);
                long low = zeros(2 * n);
                long m = zeros(4 * n);
                long v = zeros(4 * n);
                long scales = zeros(8 * (n / 256));
                AdamW adamW = kernels.adamW(weights, moments, GradientType.BF16);
                AdamW.Buffers buffers =
                        new AdamW.Buffers(w, low, gradients, m, v, scales, scales + 4 * (n / 256), n, 0, n, 0);
                AdamW.Step step = new AdamW.Step(1e-5, 0.9, 0.999, 1e-8, 0.01, 10, 1);
                double bytes = n * (weightBytes[weights.ordinal()] + momentBytes[moments.ordinal()] + 2);
                time(
                        "adamw " + weights + ", moments " + moments,
                        bytes,
                        () -> adamW.update(buffers, step, clip, STREAM));
                free(before);
            }
        }
        free(keep);
    }

    private void hostCost() {
        long x = normals(64);
        long rstd = allocate(256);
        for (int round = 0; round < 3; round++) {
            long start = System.nanoTime();
            for (int i = 0; i < LAUNCHES; i++) {
                kernels.rmsNorm().again(x, x, rstd, x, 1, 64, STREAM);
                if (i % 500 == 499) {
                    // the queue holds about a thousand launches: a full one would be timed instead
                    long pause = System.nanoTime();
                    CudaDriver.synchronize(STREAM);
                    start += System.nanoTime() - pause;
                }
            }
            System.out.printf("host cost of a launch: %.0f ns%n", (System.nanoTime() - start) / (double) LAUNCHES);
        }
    }

    public static void main(String[] args) {
        long start = System.nanoTime();
        switch (KernelSupport.probe(0)) {
            case KernelSupport.Missing missing -> System.out.println(missing.reason());
            case KernelSupport.Ready ready -> {
                System.out.printf("loaded in %.2f s%n", (System.nanoTime() - start) / 1e9);
                KernelBenchmark benchmark = new KernelBenchmark(ready.kernels());
                List<String> wanted =
                        args.length == 0 ? List.of("rows", "dequantise", "head", "optimizer", "host") : List.of(args);
                if (wanted.contains("rows")) {
                    benchmark.rows();
                }
                if (wanted.contains("dequantise")) {
                    benchmark.dequantise();
                }
                if (wanted.contains("head")) {
                    benchmark.head();
                }
                if (wanted.contains("optimizer")) {
                    benchmark.optimizer();
                }
                if (wanted.contains("host")) {
                    benchmark.hostCost();
                }
            }
        }
    }
}
