package org.sftnative.benchmarks;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.sftnative.config.LoraSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.AdapterInit;
import org.sftnative.model.Adapters;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Initialisation;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaEngine;
import org.sftnative.model.PackedBatch;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.model.Projection;
import org.sftnative.model.QuantisedMatrices;
import org.sftnative.model.Recompute;
import org.sftnative.model.Rope;
import org.sftnative.model.RopeScaling;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.CudaOps;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Quantiser;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// Training of a real model shape on a card with random weights and tokens, every token a label, ready to take steps.
///
/// A case has a name and options, `fix1b_2048:recompute=selective,micro=8192`: micro (tokens of a micro-batch),
/// recompute, masters, moments, steps (of a round), ops=aten, lora (rank of adapters over a frozen model), base (bf16,
/// nf4_double, nf4, int8: how a frozen model is kept), parts=waited (the card is waited for before and after the
/// optimizer, whose seconds are told).
final class CardRun implements AutoCloseable {
    /// C, F, layers, H, K, V, tied.
    private record Shape(int c, int f, int layers, int h, int k, int v, boolean tied, boolean bias) {}

    /// @param rows rows of a step
    /// @param fixed tokens of each row; 0: as Alpaca's; CHATS: as long chats'
    private record Case(String shape, int rows, int fixed, int steps, Map<String, String> defaults) {}

    private static final Map<String, Shape> SHAPES = Map.of(
            "7b", new Shape(4096, 11008, 32, 32, 32, 32000, false, false),
            "8b", new Shape(4096, 14336, 32, 32, 8, 128256, false, false),
            "qwen7b", new Shape(3584, 18944, 28, 28, 4, 152064, false, true),
            "1b", new Shape(2048, 5632, 22, 32, 4, 32000, false, false),
            "135m", new Shape(576, 1536, 30, 9, 3, 49152, true, false));

    private static final int CHATS = -1;

    private static final Map<String, Case> CASES = new LinkedHashMap<>();

    static {
        Map<String, String> split16 = Map.of("masters", "SPLIT", "moments", "BF16");
        Map<String, String> split8 = Map.of("masters", "SPLIT", "moments", "BLOCK8");
        Map<String, String> split32 = Map.of("masters", "SPLIT", "moments", "FP32");
        CASES.put("seed7b", new Case("7b", 16, 0, 10, split16));
        CASES.put("fix7b_2048", new Case("7b", 8, 2048, 5, split16));
        CASES.put("row7b_512", new Case("7b", 1, 512, 10, split16)); // what fits the smallest card
        CASES.put("qwen7b_1024", new Case("qwen7b", 64, 1024, 2, Map.of("masters", "STOCHASTIC", "moments", "BF16")));
        CASES.put("fix8b_4096", new Case("8b", 4, 4096, 4, split8));
        CASES.put("chat7b", new Case("7b", 8, CHATS, 5, split16));
        CASES.put("chat1b", new Case("1b", 12, CHATS, 15, split32));
        CASES.put("fix8b_2048", new Case("8b", 8, 2048, 4, split8));
        CASES.put("seed1b", new Case("1b", 16, 0, 20, split32));
        CASES.put("fix1b_2048", new Case("1b", 8, 2048, 15, split32));
        CASES.put("seed135m", new Case("135m", 16, 0, 40, split32));
        CASES.put("fix135m_512", new Case("135m", 32, 512, 30, split32));
    }

    private final Case of;
    private final Shape shape;
    private final Device device;
    private final int steps;
    private final int micro;
    private final boolean frozen;
    private final FrozenBase base;
    private final Adapters adapters;
    private final AdamWOptimizer optimizer;
    private final LlamaEngine engine;
    private final boolean waits;
    private final Deque<Rows> ahead = new ArrayDeque<>();
    private RandomGenerator random = new SplittableRandom(1);
    private long ended = System.nanoTime();

    /// @param batches ids, targets, cu_seqlens of each micro-batch
    private record Rows(int[] lengths, List<int[][]> batches) {}

    /// What a step did.
    ///
    /// @param flops of the model; recomputation does not count
    /// @param seconds since loss and norm of the step before were there
    /// @param optimizerSeconds of `seconds`; 0 unless they are asked for
    record Step(long tokens, double flops, double loss, double norm, double seconds, double optimizerSeconds) {}

    /// Builds a case; the memory of the one before should be free.
    CardRun(String spec, Device device) {
        String[] parts = spec.split(":");
        of = CASES.get(parts[0]);
        if (of == null) {
            throw new IllegalArgumentException("no case '" + parts[0] + "', there are " + CASES.keySet());
        }
        Map<String, String> options = new LinkedHashMap<>(of.defaults);
        for (String option : parts.length > 1 ? parts[1].split(",") : new String[0]) {
            options.put(option.split("=")[0], option.split("=")[1]);
        }
        this.device = device;
        shape = SHAPES.get(of.shape);
        LlamaConfig config = config(shape);
        steps = Integer.parseInt(options.getOrDefault("steps", String.valueOf(of.steps)));
        micro = Integer.parseInt(options.getOrDefault("micro", "1000000"));
        waits = options.getOrDefault("parts", "").equals("waited");
        Recompute recompute =
                Recompute.valueOf(options.getOrDefault("recompute", "SELECTIVE").toUpperCase());
        Tensors.zeros(ScalarType.Float, device, 1).close(); // the allocator knows no device before its first use
        torch_cuda.getAllocator().emptyCache();
        torch_cuda.getAllocator().resetPeakStats(device.index());
        Ops ops = ops(options, device);
        int rank = Integer.parseInt(options.getOrDefault("lora", "0"));
        frozen = rank > 0;
        base = base(config, options.getOrDefault("base", "bf16"), ops, device);
        adapters = adapters(config, Math.max(1, rank), device);
        Parameters parameters = frozen ? adapters.trained() : base.dense();
        parameters.enableGradients();
        AdapterInit.fill(adapters, base, 1);
        AdamWUpdate update =
                new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, parameters.layout().decayed(), 0, 1);
        AdamWState state = AdamWState.create(
                frozen ? AdamWState.Masters.FP32 : AdamWState.Masters.valueOf(options.get("masters")),
                frozen ? AdamWState.Moments.FP32 : AdamWState.Moments.valueOf(options.get("moments")),
                parameters.layout().numel(),
                device);
        optimizer = new AdamWOptimizer(ops, parameters.flatWeights(), parameters.flatGradients(), update, state);
        engine = frozen
                ? new LlamaEngine(config, base, adapters, ops, recompute)
                : new LlamaEngine(config, parameters, ops, recompute);
    }

    /// Steps of a round.
    int steps() {
        return steps;
    }

    /// Begins the rows anew: the steps of each round see the same. In a run they are made while the card computes.
    void rewind() {
        random = new SplittableRandom(1);
        ahead.clear();
        makeRows(steps);
    }

    /// Makes the rows of the next steps.
    void makeRows(int steps) {
        for (int i = 0; i < steps; i++) {
            int[] lengths = lengths(of, random);
            ahead.add(new Rows(lengths, cut(lengths, micro, shape.v, random)));
        }
    }

    /// One step, as the training loop does it: the update may still go on when this returns.
    Step step() {
        if (ahead.isEmpty()) {
            makeRows(1);
        }
        Rows rows = ahead.remove();
        long began = ended;
        AdamWOptimizer.Measured measured;
        long middle;
        try (PointerScope _ = new PointerScope()) {
            Tensor loss = forwardBackward(rows);
            middle = waited();
            optimizer.measure(1.0, loss);
            optimizer.update(2e-5);
            measured = optimizer.read();
        }
        ended = waited();
        long tokens = Arrays.stream(rows.lengths).sum();
        double squares =
                Arrays.stream(rows.lengths).mapToDouble(n -> (double) n * n).sum();
        long matmul = ParameterLayout.of(config(shape)).parameterCount() - (shape.tied ? 0L : (long) shape.v * shape.c);
        // frozen matrices have no weight gradient: 4 a weight, not 6
        double flops = (frozen ? 4.0 : 6.0) * matmul * tokens + 6.0 * shape.layers * shape.c * squares;
        return new Step(
                tokens,
                flops,
                measured.lossSum() / labels(rows.lengths),
                measured.gradNorm(),
                (ended - began) / 1e9,
                waits ? (ended - middle) / 1e9 : 0);
    }

    /// The time, once the card has done all, if that is asked for.
    private long waited() {
        if (waits) {
            await();
        }
        return System.nanoTime();
    }

    /// Waits until the card has done all.
    void await() {
        Devices.synchronize(device);
    }

    /// Bytes of the engine's own buffers on the card.
    long bufferBytes() {
        return engine.bufferBytes();
    }

    /// Bytes of pinned memory of the host.
    long hostBytes() {
        return engine.hostBytes();
    }

    @Override
    public void close() {
        engine.close();
        optimizer.close();
        adapters.close();
        base.close();
    }

    private static Adapters adapters(LlamaConfig config, int rank, Device device) {
        LoraSettings settings = SettingsSchema.of(LoraSettings.class).bind(Map.of("lora_r", "" + rank));
        return Adapters.of(AdapterConfig.of(settings), config, device);
    }

    /// Random weights; the blocks' matrices as `kept` says: bf16, nf4_double, nf4 (scales in fp32) or int8.
    private static FrozenBase base(LlamaConfig config, String kept, Ops ops, Device device) {
        if (kept.equals("bf16")) {
            Parameters all = new Parameters(ParameterLayout.of(config), Dtype.BF16, device);
            Initialisation.fill(all, config, 1);
            return FrozenBase.of(all);
        }
        Parameters dense = new Parameters(ParameterLayout.withoutProjections(config), Dtype.BF16, device);
        Initialisation.fill(dense, config, 1);
        QuantisedMatrices packed = new QuantisedMatrices(Quantiser.Kind.valueOf(kept.toUpperCase()), ops, device);
        for (int layer = 0; layer < config.nLayer(); layer++) {
            for (Projection p : Projection.values()) {
                try (PointerScope _ = new PointerScope()) {
                    Tensor weight = Tensors.empty(ScalarType.BFloat16, device, p.out(config), p.in(config));
                    packed.put(
                            p.module(layer) + ".weight",
                            weight.normal_(0, config.initializerRange(), new GeneratorOptional()));
                }
            }
        }
        return new FrozenBase(dense, Optional.of(packed));
    }

    private static Ops ops(Map<String, String> options, Device device) {
        if (options.getOrDefault("ops", "cuda").equals("aten")) {
            return new AtenOps();
        }
        return switch (CudaOps.probe(device)) {
            case CudaOps.Probe.Ready(CudaOps ops, String _) -> ops;
            case CudaOps.Probe.Missing(String reason) -> throw new IllegalStateException(reason);
        };
    }

    private static long labels(int[] lengths) {
        return Arrays.stream(lengths).mapToLong(n -> n - 1).sum();
    }

    /// @return the summed loss
    private Tensor forwardBackward(Rows rows) {
        engine.startStep();
        Tensor sum = Tensors.zeros(ScalarType.Float, device);
        try (NoGradGuard _ = new NoGradGuard()) {
            for (int[][] batch : rows.batches) {
                try (PointerScope _ = new PointerScope()) {
                    PackedBatch packed = PackedBatch.of(batch[0], batch[1], batch[2], device);
                    sum.add_(engine.accumulate(packed, new CrossEntropy(), 1.0 / labels(rows.lengths)));
                }
            }
        }
        return sum;
    }

    /// Rows cut into micro-batches in their order: ids, targets, cu_seqlens of each.
    private static List<int[][]> cut(int[] lengths, int micro, int vocabulary, RandomGenerator random) {
        List<int[][]> batches = new ArrayList<>();
        for (int from = 0; from < lengths.length; ) {
            int to = from;
            int tokens = 0;
            while (to < lengths.length && (to == from || tokens + lengths[to] <= micro)) {
                tokens += lengths[to++];
            }
            int[] ids = random.ints(tokens, 3, vocabulary).toArray();
            int[] targets = new int[tokens];
            int[] cu = new int[to - from + 1];
            for (int d = 0, at = 0; d < to - from; d++) {
                int n = lengths[from + d];
                System.arraycopy(ids, at + 1, targets, at, n - 1);
                targets[at + n - 1] = -100;
                at += n;
                cu[d + 1] = at;
            }
            batches.add(new int[][] {ids, targets, cu});
            from = to;
        }
        return batches;
    }

    /// Lognormal, median 134 tokens, cut at 16 and 512: the lengths of Alpaca rows with the prompt template. Chats:
    /// median 1,800, cut at 128 and 4,096.
    private static int[] lengths(Case c, RandomGenerator random) {
        int[] lengths = new int[c.rows];
        for (int i = 0; i < lengths.length; i++) {
            double normal = random.nextGaussian();
            int alpaca = Math.clamp((int) Math.exp(4.9 + 0.6 * normal), 16, 512);
            int chat = Math.clamp((int) Math.exp(7.5 + 0.7 * normal), 128, 4096);
            lengths[i] = c.fixed > 0 ? c.fixed : c.fixed == CHATS ? chat : alpaca;
        }
        return lengths;
    }

    private static LlamaConfig config(Shape s) {
        int headDim = s.c / s.h;
        return new LlamaConfig(
                s.bias ? "qwen2" : "llama",
                s.v,
                s.c,
                s.f,
                s.layers,
                s.h,
                s.k,
                headDim,
                1e-5,
                new Rope(10000, headDim, new RopeScaling.Default()),
                8192,
                s.tied,
                s.bias,
                false,
                false,
                0.02,
                OptionalInt.empty(),
                List.of());
    }
}
