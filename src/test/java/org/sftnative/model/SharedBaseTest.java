package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.config.LoraInit;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.support.OpsCalls;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Ranks that share out the weights of a frozen model, over worlds that send as late or as soon as they may: each has
/// the adapters whole, and their gradients add up to those of one process.
class SharedBaseTest {
    private static final LossFunction LOSS = new CrossEntropy();
    private static final double SCALE = 0.01;

    /// @param blocks of the golden model, 0: as many as it has
    private record Case(String model, int blocks, AdapterConfig config) {
        GoldenModel load() {
            return blocks == 0 ? GoldenModel.load(model) : GoldenModel.load(model, blocks);
        }

        @Override
        public String toString() {
            return model + " of " + blocks + ", " + config.targets() + (config.useDora() ? ", DoRA" : "")
                    + (config.modulesToSave().isEmpty() ? "" : ", " + config.modulesToSave());
        }
    }

    private static final Case LOW = new Case("llama2", 5, config(".*", 0, false));
    private static final Case UPPER = new Case("llama2", 5, config(".*layers\\.3\\..*(q|down)_proj", 0, false));
    private static final Case DORA = new Case("tied", 4, config(".*", 0, true));

    private static List<Case> cases() {
        return List.of(
                LOW,
                UPPER,
                DORA,
                new Case("llama2", 1, config(".*[qv]_proj", 0, false)),
                new Case("llama2", 4, config(".*layers\\.2\\..*", 0, true, "lm_head")),
                new Case("biases", 0, config(".*(k|o|up)_proj", 0.3, true)),
                new Case("qwen2", 3, config(".*(q|up)_proj", 0.1, false, "lm_head", "embed_tokens", "norm")));
    }

    private static AdapterConfig config(String regex, double dropout, boolean dora, String... saved) {
        return new AdapterConfig(
                3,
                6,
                dropout,
                new AdapterConfig.Targets.Regex(regex),
                List.of(saved),
                !dora,
                dora,
                Map.of(),
                Map.of(),
                LoraInit.TRUE);
    }

    private static List<Case> some() {
        return List.of(UPPER, DORA);
    }

    private static Stream<Arguments> casesAndRanks() {
        return cases().stream().flatMap(c -> Stream.of(2, 3).map(ranks -> Arguments.of(c, ranks)));
    }

    /// A rank with its part of the frozen model, or one process with all of it.
    private record Rank(GoldenModel golden, FrozenBase base, Adapters adapters, int rank) implements AutoCloseable {
        static Rank alone(Case c) {
            GoldenModel golden = c.load();
            return new Rank(golden, FrozenBase.of(golden.parameters()), adapters(c, golden.config()), 0);
        }

        static Rank of(Case c, World world) {
            GoldenModel golden = c.load();
            Parameters whole = golden.parameters();
            Parameters mine = Parameters.shared(whole.layout(), Dtype.F32, Devices.cpu(), world);
            Part part = Part.of(whole.layout().numel(), world.rank(), world.size());
            mine.keptWeights().copy_(whole.flatWeights().narrow(0, part.from(), part.count()));
            mine.shareWeights(world);
            return new Rank(golden, FrozenBase.of(mine), adapters(c, golden.config()), world.rank());
        }

        private static Adapters adapters(Case c, LlamaConfig model) {
            Adapters adapters = Adapters.of(c.config, model, Devices.cpu());
            Parameters trained = adapters.trained();
            Scopes.run(() -> {
                Tensor values = torch.arange(
                        new Scalar(trained.layout().numel()), Tensors.options(ScalarType.Float, Devices.cpu()));
                trained.flatWeights().copy_(values.mul(new Scalar(0.7)).sin().mul(new Scalar(0.1)));
                for (String name : trained.layout().slots().keySet()) {
                    if (name.endsWith("norm.weight") || name.endsWith("magnitude_vector")) {
                        trained.weight(name).add_(new Scalar(1));
                    }
                }
            });
            return adapters;
        }

        LlamaEngine engine(Ops ops) {
            return new LlamaEngine(golden.config(), base, adapters, ops, Recompute.FULL);
        }

        PackedBatch first() {
            return golden.pack(0, 1, -1).inStep(7, 3);
        }

        PackedBatch rest() {
            return golden.pack(1, golden.documents(), -1).inStep(7, 3);
        }

        /// Rank 0 has two micro-batches, rank 1 one, rank 2 none.
        List<PackedBatch> batches() {
            return List.of(first(), rest()).subList(0, 2 - rank);
        }

        void step(LlamaEngine engine, List<PackedBatch> batches) {
            engine.startStep(batches.size());
            batches.forEach(batch -> engine.accumulate(batch, LOSS, SCALE));
            engine.endStep();
        }

        /// A step, an evaluation and an update, of all of which the next step has nothing but the adapters.
        void before(LlamaEngine engine) {
            step(engine, List.of(golden.pack().inStep(7, 2)));
            engine.startScoring(rank);
            for (int i = 0; i < rank; i++) {
                engine.loss(golden.pack(), LOSS);
            }
            engine.endScoring();
            update();
        }

        void update() {
            try (PointerScope _ = new PointerScope();
                    NoGradGuard _ = new NoGradGuard()) {
                adapters.trained().flatWeights().mul_(new Scalar(1.3));
            }
        }

        float[] gradients() {
            return Tensors.floats(adapters.trained().flatGradients());
        }

        @Override
        public void close() {
            adapters.close();
            base.close();
            golden.golden().close();
        }
    }

    private interface Work<T> {
        T run(Rank rank);
    }

    private static <T> List<T> run(Case c, int ranks, Work<T> work) throws Exception {
        return Worlds.run(ranks, world -> {
            World sending = ranks == 2 ? Worlds.atOnce(world) : Worlds.late(world);
            try (PointerScope _ = new PointerScope();
                    Rank rank = Rank.of(c, sending)) {
                return work.run(rank);
            }
        });
    }

    @ParameterizedTest
    @MethodSource("casesAndRanks")
    void gradientsOfAllRanksAddUpToThoseOfOneProcess(Case c, int ranks) throws Exception {
        List<float[]> each = run(c, ranks, rank -> {
            try (LlamaEngine engine = rank.engine(new AtenOps())) {
                rank.before(engine);
                rank.step(engine, rank.batches());
                return rank.gradients();
            }
        });
        assertSame(c, each);
        if (ranks == 3) {
            assertArrayEquals(new float[each.getLast().length], each.getLast());
        }
    }

    /// In its second pass rank 0 has no room: forward, backward, or before the first block.
    @ParameterizedTest
    @MethodSource("some")
    void aPassThatBreaksOffIsGoneThroughAndTheStepRepeated(Case c) throws Exception {
        List<float[]> each = run(c, 3, rank -> {
            int n = rank.golden.config().nLayer();
            rank.update();
            for (Map.Entry<String, Integer> call :
                    List.of(Map.entry("embedding", 2), Map.entry("attention", n + 1), Map.entry("swigluBackward", 2))) {
                AtomicInteger calls = new AtomicInteger();
                Ops ops = new AtenOps();
                Ops failing = OpsCalls.to((method, arguments) -> {
                    if (method.getName().equals(call.getKey()) && calls.incrementAndGet() == call.getValue()) {
                        throw new RuntimeException("no room");
                    }
                    return method.invoke(ops, arguments);
                });
                try (LlamaEngine engine = rank.engine(rank.rank == 0 ? failing : ops)) {
                    if (rank.rank == 0) {
                        assertThrows(RuntimeException.class, () -> rank.step(engine, rank.batches()));
                        engine.endStep();
                    } else {
                        rank.step(engine, rank.batches());
                    }
                    rank.step(engine, rank.batches());
                }
            }
            return rank.gradients();
        });
        assertSame(c, each);
    }

    private static void assertSame(Case c, List<float[]> each) {
        try (PointerScope _ = new PointerScope();
                Rank alone = Rank.alone(c);
                LlamaEngine engine = alone.engine(new AtenOps())) {
            alone.update();
            List<PackedBatch> batches = new ArrayList<>(List.of(alone.first(), alone.rest()));
            batches.add(alone.first());
            alone.step(engine, batches);
            float[] expected = alone.gradients();
            float[] sum = new float[expected.length];
            for (float[] mine : each) {
                for (int i = 0; i < sum.length; i++) {
                    sum[i] += mine[i];
                }
            }
            for (ParameterLayout.Slot slot :
                    alone.adapters.trained().layout().slots().values()) {
                int from = (int) slot.offset();
                int to = from + (int) slot.numel();
                assertNormClose(
                        c + ": " + slot.name(),
                        Arrays.copyOfRange(expected, from, to),
                        Arrays.copyOfRange(sum, from, to),
                        2e-6);
            }
        }
    }

    /// Logits are those of one process, bit for bit, before and after an update.
    @ParameterizedTest
    @MethodSource("some")
    void oneRankAsksAndTheOthersFollow(Case c) throws Exception {
        List<float[]> logits = run(c, 2, rank -> {
            try (LlamaEngine engine = rank.engine(new AtenOps())) {
                float[] answer = {};
                for (int i = 0; i < 2; i++) {
                    if (rank.rank == 0) {
                        engine.startScoring(1);
                        answer = logits(rank, engine);
                        engine.endScoring();
                    }
                    while (engine.startScoring(0)) {
                        engine.endScoring();
                    }
                    rank.update();
                }
                return answer;
            }
        });
        try (PointerScope _ = new PointerScope();
                Rank alone = Rank.alone(c);
                LlamaEngine engine = alone.engine(new AtenOps())) {
            alone.update();
            assertArrayEquals(logits(alone, engine), logits.getFirst());
        }
    }

    private static float[] logits(Rank rank, LlamaEngine engine) {
        PackedBatch batch = rank.golden.pack();
        return Tensors.floats(engine.logits(batch, batch.labelRows()));
    }

    /// Of five blocks a backward pass ends at block 3, and has what it needs. The first pass fetches norms, embedding,
    /// blocks and head, every other all of them but the norms.
    @Test
    void nothingIsFetchedForBlocksBelowWhatIsTrained() {
        assertEquals(List.of(8, 7, 7), fetched(UPPER));
    }

    /// Blocks 2, 1 and 0 once more for the backward pass, and the first two are there when another begins.
    @Test
    void whatIsFrozenIsFetchedAgainOnlyIfItIsNotThere() {
        assertEquals(List.of(8 + 3, 5 + 3, 5 + 3), fetched(LOW));
        assertEquals(List.of(6 + 2, 2 + 2, 2 + 2), fetched(DORA)); // of four; embedding and head are one
    }

    private static List<Integer> fetched(Case c) {
        int[] count = {0};
        World counting = Worlds.sending(World.ALONE, (_, _, _) -> {
            count[0]++;
            return () -> {};
        });
        List<Integer> fetched = new ArrayList<>();
        try (PointerScope _ = new PointerScope();
                Rank rank = Rank.of(c, counting);
                LlamaEngine engine = rank.engine(new AtenOps())) {
            for (int i = 0; i < 3; i++) {
                rank.step(engine, List.of(rank.first()));
                fetched.add(count[0]);
                count[0] = 0;
            }
        }
        return fetched;
    }

    /// Whichever fetch fails, what it should have brought is fetched again.
    @Test
    void whatCouldNotBeFetchedIsNotTakenForThere() {
        Case c = new Case("llama2", 3, config(".*", 0, false));
        float[] expected;
        try (PointerScope _ = new PointerScope();
                Rank alone = Rank.alone(c);
                LlamaEngine engine = alone.engine(new AtenOps())) {
            alone.step(engine, List.of(alone.first()));
            expected = alone.gradients();
        }
        for (int fails = 1; fails <= 7; fails++) {
            int[] calls = {0, fails};
            World failing = Worlds.sending(World.ALONE, (_, _, tensor) -> {
                if (++calls[0] == calls[1]) {
                    tensor.fill_(new Scalar(Double.NaN));
                    throw new IllegalStateException("the line is dead");
                }
                return () -> {};
            });
            try (PointerScope _ = new PointerScope();
                    Rank rank = Rank.of(c, failing);
                    LlamaEngine engine = rank.engine(new AtenOps())) {
                assertThrows(IllegalStateException.class, () -> rank.step(engine, List.of(rank.first())));
                engine.endStep();
                rank.step(engine, List.of(rank.first()));
                assertArrayEquals(expected, rank.gradients(), "fetch " + fails);
            }
        }
    }

    /// A weight of a model that is shared out comes from elsewhere.
    @Test
    void singleWeightsAreReadFromElsewhere() {
        try (PointerScope _ = new PointerScope();
                Rank rank = Rank.of(DORA, World.ALONE)) {
            Tensor given = Tensors.ofFloats(new float[] {1}, Devices.cpu(), 1);
            FrozenBase base = new FrozenBase(rank.base.dense(), Optional.empty(), _ -> given);
            assertEquals(given, base.weight("model.norm.weight"));
            assertThrows(IllegalStateException.class, () -> rank.base.weight("model.norm.weight"));
        }
    }
}
