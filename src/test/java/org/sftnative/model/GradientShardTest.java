package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Tensors;

/// Gradients of three ranks that share them out, over a world that sends at the last moment.
class GradientShardTest {
    private static final LossFunction LOSS = new CrossEntropy();
    private static final double SCALE = 0.01;

    /// Rank 0 trains all documents in two passes, rank 1 the first, rank 2 none.
    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void ranksWithUnlikeNumbersOfMicroBatchesKeepTheSumOfAll(String name) throws Exception {
        float[] expected = alone(name);
        List<float[]> kept = Worlds.run(3, world -> {
            try (PointerScope _ = new PointerScope();
                    GoldenModel golden = GoldenModel.load(name)) {
                golden.parameters().shareGradients(Worlds.late(world));
                try (LlamaEngine engine = engine(golden, new AtenOps())) {
                    engine.startStep(1); // the step before leaves nothing
                    engine.accumulate(golden.pack(), LOSS, 1);
                    engine.endStep();
                    step(engine, golden, world);
                    return Tensors.floats(golden.parameters().keptGradients());
                }
            }
        });
        assertSame(name, expected, kept);
    }

    /// Rank 0 has no room in its second pass, between two of its blocks or in the last of them.
    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void aPassThatBreaksOffIsSentAsZerosAndTheStepRepeated(String name) throws Exception {
        float[] expected = alone(name);
        List<float[]> kept = Worlds.run(3, world -> {
            try (PointerScope _ = new PointerScope();
                    GoldenModel golden = GoldenModel.load(name)) {
                golden.parameters().shareGradients(Worlds.late(world));
                for (String call : List.of("attentionBackward", "embeddingBackward")) {
                    int fails = call.equals("embeddingBackward")
                            ? 2
                            : golden.config().nLayer() + 2;
                    try (LlamaEngine engine = engine(golden, failing(call, world.rank() == 0 ? fails : -1))) {
                        if (world.rank() == 0) {
                            assertThrows(RuntimeException.class, () -> passes(engine, golden, world));
                        } else {
                            passes(engine, golden, world);
                        }
                        engine.endStep();
                        step(engine, golden, world);
                    }
                }
                return Tensors.floats(golden.parameters().keptGradients());
            }
        });
        assertSame(name, expected, kept);
    }

    /// What two blocks, and head or embedding, wrote is on its way at a time: nothing is waited for when it is sent.
    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void aPassGoesOnWhileGradientsAreSent(String name) {
        int[] onTheWay = {0, 0}; // now, at most
        World counting = (World) Proxy.newProxyInstance(
                World.class.getClassLoader(), new Class<?>[] {World.class}, (_, method, arguments) -> {
                    if (!method.getName().equals("sumFor")) {
                        return method.invoke(World.ALONE, arguments);
                    }
                    onTheWay[1] = Math.max(onTheWay[1], ++onTheWay[0]);
                    return (World.Sending) () -> onTheWay[0]--;
                });
        try (PointerScope _ = new PointerScope();
                GoldenModel golden = GoldenModel.load(name)) {
            golden.parameters().shareGradients(counting);
            try (LlamaEngine engine = engine(golden, new AtenOps())) {
                engine.startStep(1);
                engine.accumulate(golden.pack(), LOSS, SCALE);
                assertEquals(3, onTheWay[1]);
                engine.endStep();
                assertEquals(0, onTheWay[0]);
            }
        }
    }

    private static void step(LlamaEngine engine, GoldenModel golden, World world) {
        passes(engine, golden, world);
        engine.endStep();
    }

    private static void passes(LlamaEngine engine, GoldenModel golden, World world) {
        int n = golden.documents();
        switch (world.rank()) {
            case 0 -> {
                engine.startStep(2);
                engine.accumulate(golden.pack(0, 1, -1), LOSS, SCALE);
                engine.accumulate(golden.pack(1, n, -1), LOSS, SCALE);
            }
            case 1 -> {
                engine.startStep(1);
                engine.accumulate(golden.pack(0, 1, -1), LOSS, SCALE);
            }
            default -> engine.startStep(0);
        }
    }

    /// What one process has of the same three micro-batches.
    private static float[] alone(String name) {
        try (PointerScope _ = new PointerScope();
                GoldenModel golden = GoldenModel.load(name);
                LlamaEngine engine = engine(golden, new AtenOps())) {
            engine.startStep();
            engine.accumulate(golden.pack(0, 1, -1), LOSS, SCALE);
            engine.accumulate(golden.pack(1, golden.documents(), -1), LOSS, SCALE);
            engine.accumulate(golden.pack(0, 1, -1), LOSS, SCALE);
            engine.endStep();
            return Tensors.floats(golden.parameters().flatGradients());
        }
    }

    private static LlamaEngine engine(GoldenModel golden, Ops ops) {
        return new LlamaEngine(golden.config(), golden.parameters(), ops, Recompute.SELECTIVE);
    }

    /// Mathematics that fails once.
    ///
    /// @param nth call of that name; -1: none
    private static Ops failing(String name, int nth) {
        AtenOps ops = new AtenOps();
        AtomicInteger calls = new AtomicInteger();
        return (Ops) Proxy.newProxyInstance(
                Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (_, method, arguments) -> {
                    if (method.getName().equals(name) && calls.incrementAndGet() == nth) {
                        throw new RuntimeException("no room");
                    }
                    try {
                        return method.invoke(ops, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private static void assertSame(String name, float[] expected, List<float[]> kept) {
        float[] all = new float[0];
        for (float[] part : kept) {
            int n = all.length;
            all = Arrays.copyOf(all, n + part.length);
            System.arraycopy(part, 0, all, n, part.length);
        }
        assertEquals(expected.length, all.length);
        try (GoldenModel golden = GoldenModel.load(name)) {
            for (ParameterLayout.Slot slot :
                    golden.parameters().layout().slots().values()) {
                int from = (int) slot.offset();
                int to = from + (int) slot.numel();
                assertNormClose(
                        name + ": " + slot.name(),
                        Arrays.copyOfRange(expected, from, to),
                        Arrays.copyOfRange(all, from, to),
                        2e-6);
            }
        }
    }
}
