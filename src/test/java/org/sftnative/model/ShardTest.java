package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.support.OpsCalls;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// Three ranks that share out a model's gradients, or its weights too, over worlds that send as late or as soon as
/// they may.
class ShardTest {
    private static final LossFunction LOSS = new CrossEntropy();
    private static final double SCALE = 0.01;

    /// What is shared out, and when it is sent.
    private enum Sharing {
        GRADIENTS_LATE,
        WEIGHTS_LATE,
        WEIGHTS_AT_ONCE;

        World over(World world) {
            return this == WEIGHTS_AT_ONCE ? Worlds.atOnce(world) : Worlds.late(world);
        }
    }

    /// @param blocks 0: as many as the golden model has
    private record Model(String name, int blocks) {
        GoldenModel load() {
            return blocks == 0 ? GoldenModel.load(name) : GoldenModel.load(name, blocks);
        }
    }

    private static List<Model> models() {
        return List.of(new Model("biases", 0), new Model("llama2", 1), new Model("qwen2", 5), new Model("tied", 4));
    }

    private static Stream<Arguments> cases() {
        return models().stream().flatMap(model -> Stream.of(Sharing.values()).map(s -> Arguments.of(model, s)));
    }

    /// One rank of three.
    private record Rank(GoldenModel golden, Parameters parameters, World world) implements AutoCloseable {
        static Rank of(Model model, Sharing sharing, World world) {
            GoldenModel golden = model.load();
            Parameters parameters =
                    sharing == Sharing.GRADIENTS_LATE ? golden.parameters() : part(golden.parameters(), world);
            parameters.shareGradients(sharing.over(world));
            return new Rank(golden, parameters, world);
        }

        private static Parameters part(Parameters whole, World world) {
            Parameters shared = Parameters.shared(whole.layout(), Dtype.F32, Devices.cpu(), world);
            Part part = Part.of(whole.layout().numel(), world.rank(), world.size());
            shared.keptWeights().copy_(whole.flatWeights().narrow(0, part.from(), part.count()));
            return shared;
        }

        LlamaEngine engine(Ops ops) {
            return new LlamaEngine(golden.config(), parameters, ops, Recompute.SELECTIVE);
        }

        /// Rank 0 has two, rank 1 one, rank 2 none.
        List<PackedBatch> batches() {
            PackedBatch first = golden.pack(0, 1, -1);
            return List.of(first, golden.pack(1, golden.documents(), -1)).subList(0, 2 - world.rank());
        }

        void passes(LlamaEngine engine) {
            List<PackedBatch> batches = batches();
            engine.startStep(batches.size());
            batches.forEach(batch -> engine.accumulate(batch, LOSS, SCALE));
        }

        void step(LlamaEngine engine) {
            passes(engine);
            engine.endStep();
        }

        double score(LlamaEngine engine) {
            List<PackedBatch> batches = batches();
            engine.startScoring(batches.size());
            double sum = batches.stream()
                    .mapToDouble(batch -> engine.loss(batch, LOSS).item_double())
                    .sum();
            engine.endScoring();
            return sum;
        }

        @Override
        public void close() {
            if (parameters != golden.parameters()) {
                parameters.close();
            }
            golden.close();
        }
    }

    private interface Work<T> {
        T run(Rank rank);
    }

    private static <T> List<T> run(Model model, Sharing sharing, Work<T> work) throws Exception {
        return Worlds.run(3, world -> {
            try (PointerScope _ = new PointerScope();
                    Rank rank = Rank.of(model, sharing, world)) {
                return work.run(rank);
            }
        });
    }

    /// Rank 0 trains all documents in two passes, rank 1 the first, rank 2 none.
    @ParameterizedTest
    @MethodSource("cases")
    void ranksWithUnlikeNumbersOfMicroBatchesKeepTheSumOfAll(Model model, Sharing sharing) throws Exception {
        List<float[]> kept = run(model, sharing, rank -> {
            try (LlamaEngine engine = rank.engine(new AtenOps())) {
                engine.startStep(1); // the step before leaves nothing
                engine.accumulate(rank.golden.pack(), LOSS, 1);
                engine.endStep();
                rank.step(engine);
                return Tensors.floats(rank.parameters.keptGradients());
            }
        });
        assertSame(model, alone(model), kept);
    }

    /// Rank 0 has no room in its second pass: before its blocks or between two of them, forward and backward, or in the
    /// last of all.
    @ParameterizedTest
    @MethodSource("cases")
    void aPassThatBreaksOffIsSentAsZerosAndTheStepRepeated(Model model, Sharing sharing) throws Exception {
        List<float[]> kept = run(model, sharing, rank -> {
            int n = rank.golden.config().nLayer();
            for (Call call : List.of(
                    new Call("embedding", 2),
                    new Call("attention", n + Math.min(2, n)),
                    new Call("attentionBackward", n + Math.min(2, n)),
                    new Call("embeddingBackward", 2))) {
                try (LlamaEngine engine = rank.engine(rank.world.rank() == 0 ? call.failing() : new AtenOps())) {
                    if (rank.world.rank() == 0) {
                        assertThrows(RuntimeException.class, () -> rank.passes(engine));
                    } else {
                        rank.passes(engine);
                    }
                    engine.endStep();
                    rank.step(engine);
                }
            }
            return Tensors.floats(rank.parameters.keptGradients());
        });
        assertSame(model, alone(model), kept);
    }

    /// So does the score of one whose first pass breaks off, once that is repeated.
    @ParameterizedTest
    @MethodSource("cases")
    void ranksScoreAsOneProcess(Model model, Sharing sharing) throws Exception {
        List<double[]> scores = run(model, sharing, rank -> {
            Ops ops = rank.world.rank() == 1 ? new Call("attention", 1).failing() : new AtenOps();
            try (LlamaEngine engine = rank.engine(ops)) {
                if (rank.world.rank() == 1) {
                    assertThrows(RuntimeException.class, () -> rank.score(engine));
                    engine.endScoring();
                } else {
                    rank.score(engine);
                }
                double once = rank.score(engine);
                rank.step(engine); // a step and an evaluation have no part of one another
                return new double[] {once, rank.score(engine)};
            }
        });
        try (GoldenModel golden = model.load();
                LlamaEngine engine =
                        new LlamaEngine(golden.config(), golden.parameters(), new AtenOps(), Recompute.NONE)) {
            double first = loss(engine, golden.pack(0, 1, -1));
            double rest = loss(engine, golden.pack(1, golden.documents(), -1));
            double[] expected = {first + rest, first, 0};
            for (int rank = 0; rank < 3; rank++) {
                assertArrayEquals(new double[] {expected[rank], expected[rank]}, scores.get(rank), 1e-4);
            }
        }
    }

    private static double loss(LlamaEngine engine, PackedBatch batch) {
        try (PointerScope _ = new PointerScope()) {
            return engine.loss(batch, LOSS).item_double();
        }
    }

    /// While rank 0 asks the model, as often as it likes, the others follow.
    @ParameterizedTest
    @MethodSource("cases")
    void oneRankMayAskAndTheOthersFollow(Model model, Sharing sharing) throws Exception {
        List<float[]> logits = run(model, sharing, rank -> {
            float[] answer = {};
            try (LlamaEngine engine = rank.engine(new AtenOps())) {
                for (int i = 0; i < 2 && rank.world.leads(); i++) {
                    engine.startScoring(1);
                    answer = logits(engine, rank.golden);
                    engine.endScoring();
                }
                while (engine.startScoring(0)) {
                    engine.endScoring();
                }
                assertFalse(engine.startScoring(0));
            }
            return answer;
        });
        try (PointerScope _ = new PointerScope();
                GoldenModel golden = model.load();
                LlamaEngine engine =
                        new LlamaEngine(golden.config(), golden.parameters(), new AtenOps(), Recompute.NONE)) {
            assertArrayEquals(logits(engine, golden), logits.getFirst());
        }
    }

    private static float[] logits(LlamaEngine engine, GoldenModel golden) {
        PackedBatch batch = golden.pack();
        return Tensors.floats(engine.logits(batch, batch.labelRows()));
    }

    /// Rank 1 wants a copy, the others take part.
    @ParameterizedTest
    @MethodSource("cases")
    void aRankGetsTheWholeOfTheWeights(Model model, Sharing sharing) throws Exception {
        List<float[]> copies = run(model, sharing, rank -> {
            try (Parameters copy = new Parameters(rank.parameters.layout(), Dtype.F32, Devices.cpu())) {
                rank.parameters.copyTo(rank.world.rank() == 1 ? Optional.of(copy) : Optional.empty());
                return Tensors.floats(copy.flatWeights());
            }
        });
        try (GoldenModel golden = model.load()) {
            assertArrayEquals(Tensors.floats(golden.parameters().flatWeights()), copies.get(1));
            assertArrayEquals(new float[copies.get(1).length], copies.getFirst());
        }
    }

    /// What two blocks, and head or embedding, wrote is on its way at a time: nothing is waited for when it is sent.
    @ParameterizedTest
    @MethodSource("models")
    void aPassGoesOnWhileGradientsAreSent(Model model) {
        int[] onTheWay = {0, 0}; // now, at most
        World counting = Worlds.sending(World.ALONE, (_, _, _) -> {
            onTheWay[1] = Math.max(onTheWay[1], ++onTheWay[0]);
            return () -> onTheWay[0]--;
        });
        try (PointerScope _ = new PointerScope();
                GoldenModel golden = model.load()) {
            golden.parameters().shareGradients(counting);
            try (LlamaEngine engine = engine(golden.config(), golden.parameters(), new AtenOps())) {
                engine.startStep(1);
                engine.accumulate(golden.pack(), LOSS, SCALE);
                assertEquals(Math.min(3, golden.config().nLayer() + 1), onTheWay[1]);
                engine.endStep();
                assertEquals(0, onTheWay[0]);
            }
        }
    }

    /// While a block computes, what comes after it is on its way, unless it is there: the last two blocks when the pass
    /// turns back, and the first two when another begins.
    @ParameterizedTest
    @MethodSource("models")
    void aPassGoesOnWhileTheNextWeightsAreFetched(Model model) {
        int[] fetched = {0, 0}; // on the way, in all
        World counting = Worlds.sending(World.ALONE, (what, _, _) -> {
            int one = what.equals("copyFrom") ? 1 : 0;
            fetched[0] += one;
            fetched[1] += one;
            return () -> fetched[0] -= one;
        });
        List<Integer> onTheWay = new ArrayList<>();
        try (PointerScope _ = new PointerScope();
                GoldenModel golden = model.load();
                Parameters parameters = Rank.part(golden.parameters(), World.ALONE)) {
            parameters.shareGradients(counting);
            Ops watched = watched(call -> {
                if (call.startsWith("attention")) {
                    onTheWay.add(fetched[0]);
                }
            });
            int n = golden.config().nLayer();
            int head = golden.config().tieWordEmbeddings() ? 0 : 1;
            List<Integer> expected = new ArrayList<>();
            for (int pass = 0; pass < 2; pass++) {
                for (int i = 0; i < n; i++) {
                    expected.add(i == n - 1 ? head : pass == 1 && i == 0 ? 0 : 1);
                }
                for (int i = n - 1; i >= 0; i--) {
                    int embedding = pass == 0 ? head : 0; // of the pass after
                    expected.add(embedding + (i == n - 1 || i == 0 ? 0 : 1));
                }
            }
            try (LlamaEngine engine = engine(golden.config(), parameters, watched)) {
                engine.startStep(2);
                engine.accumulate(golden.pack(), LOSS, SCALE);
                engine.accumulate(golden.pack(), LOSS, SCALE);
                engine.endStep();
            }
            assertEquals(expected, onTheWay);
            int again = 2 * head + 2 * Math.max(0, n - 2); // of the second pass
            assertEquals(2 + n + head + Math.max(0, n - 2) + again, fetched[1]);
        }
    }

    private static LlamaEngine engine(LlamaConfig config, Parameters parameters, Ops ops) {
        return new LlamaEngine(config, parameters, ops, Recompute.SELECTIVE);
    }

    /// What one process has of the same three micro-batches.
    private static float[] alone(Model model) {
        try (PointerScope _ = new PointerScope();
                GoldenModel golden = model.load();
                LlamaEngine engine = engine(golden.config(), golden.parameters(), new AtenOps())) {
            engine.startStep();
            engine.accumulate(golden.pack(0, 1, -1), LOSS, SCALE);
            engine.accumulate(golden.pack(1, golden.documents(), -1), LOSS, SCALE);
            engine.accumulate(golden.pack(0, 1, -1), LOSS, SCALE);
            engine.endStep();
            return Tensors.floats(golden.parameters().flatGradients());
        }
    }

    /// One call of many.
    private record Call(String name, int nth) {
        /// Mathematics that fails in it, once.
        Ops failing() {
            AtomicInteger calls = new AtomicInteger();
            return watched(called -> {
                if (called.equals(name) && calls.incrementAndGet() == nth) {
                    throw new RuntimeException("no room");
                }
            });
        }
    }

    private static Ops watched(Consumer<String> before) {
        AtenOps ops = new AtenOps();
        return OpsCalls.to((method, arguments) -> {
            before.accept(method.getName());
            return method.invoke(ops, arguments);
        });
    }

    private static void assertSame(Model model, float[] expected, List<float[]> kept) {
        float[] all = new float[0];
        for (float[] part : kept) {
            int n = all.length;
            all = Arrays.copyOf(all, n + part.length);
            System.arraycopy(part, 0, all, n, part.length);
        }
        assertEquals(expected.length, all.length);
        try (GoldenModel golden = model.load()) {
            for (ParameterLayout.Slot slot :
                    golden.parameters().layout().slots().values()) {
                int from = (int) slot.offset();
                int to = from + (int) slot.numel();
                assertNormClose(
                        model + ": " + slot.name(),
                        Arrays.copyOfRange(expected, from, to),
                        Arrays.copyOfRange(all, from, to),
                        2e-6);
            }
        }
    }
}
