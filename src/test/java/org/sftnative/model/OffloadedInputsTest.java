package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.sftnative.model.Recompute.FULL;
import static org.sftnative.model.Recompute.FULL_KEEP_ATTENTION;
import static org.sftnative.model.Recompute.NONE;
import static org.sftnative.model.Recompute.OFFLOAD;
import static org.sftnative.model.Recompute.SELECTIVE;
import static org.sftnative.support.TensorAssert.assertBitEqual;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.config.LoraInit;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.support.LivePointers;
import org.sftnative.support.NativeScope;
import org.sftnative.support.OpsCalls;
import org.sftnative.tensor.Copies;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Offloading against the same computed again and kept: the same bits, whenever a card would have copied.
@ExtendWith(NativeScope.class)
class OffloadedInputsTest {
    private static final CrossEntropy LOSS = new CrossEntropy();
    /// When a copy is done, of what a card may choose: as soon as it may, or not before it is waited for.
    private enum When {
        EARLY,
        LATE
    }

    /// Copies that are as hard on their user as a card may be. Not a number: memory that was never written,
    /// where a copy goes to until it is done, and a buffer that was copied out and is to be written anew.
    private static final class HardCopies implements Copies {
        private final When time;
        private final Deque<HardChannel> asked = new ArrayDeque<>(); // by the channels of copies that are not done
        private final List<Tensor> memory = new ArrayList<>();
        private long out;
        private long in;
        private long beside; // copies that need not be done yet, of all times that some were waited for

        HardCopies(When time) {
            this.time = time;
        }

        @Override
        public Tensor hostMemory(ScalarType type, long... shape) {
            Tensor tensor = Scopes.keep(() -> poisoned(Tensors.empty(type, Devices.cpu(), shape)));
            memory.add(tensor);
            return tensor;
        }

        @Override
        public Channel channel() {
            return new HardChannel();
        }

        @Override
        public void close() {
            while (!asked.isEmpty()) {
                asked.peek().next();
            }
            memory.forEach(Scopes::free);
            memory.clear();
        }

        private boolean isHost(Tensor tensor) {
            long at = tensor.data_ptr().address();
            return memory.stream().anyMatch(m -> at == m.data_ptr().address());
        }

        private static Tensor poisoned(Tensor tensor) {
            return tensor.fill_(new Scalar(Float.NaN));
        }

        private final class HardChannel implements Channel {
            private final Deque<Tensor[]> copies = new ArrayDeque<>(); // to, from
            private Tensor left; // the device's buffer, after its content went out

            @Override
            public void copy(Tensor to, Tensor from) {
                if (isHost(to)) {
                    out++;
                } else {
                    in++;
                }
                poisoned(to);
                copies.add(new Tensor[] {Scopes.keep(to::detach), Scopes.keep(from::detach)});
                asked.add(this);
                if (time == When.EARLY) {
                    next();
                }
            }

            @Override
            public void await() {
                while (!copies.isEmpty()) {
                    asked.peek().next(); // in the order in which all were asked for
                }
                if (left != null) {
                    poisoned(left);
                    Scopes.free(left);
                    left = null;
                }
                beside += asked.size();
            }

            private void next() {
                asked.removeFirst();
                Tensor[] copy = copies.removeFirst();
                copy[0].copy_(copy[1]);
                if (isHost(copy[0])) {
                    Scopes.free(copy[0]);
                    left = copy[1];
                } else {
                    Scopes.free(copy[0]);
                    Scopes.free(copy[1]);
                }
            }
        }
    }

    /// Models of 1, 2, 3 and 5 blocks, and blocks that differ.
    static Stream<Arguments> models() {
        Stream<List<Recompute>> all = Stream.of(1, 2, 3, 5).map(OFFLOAD::everywhere);
        Stream<List<Recompute>> mixed = Stream.of(
                List.of(OFFLOAD, NONE, OFFLOAD, SELECTIVE, OFFLOAD, FULL, OFFLOAD),
                List.of(FULL, OFFLOAD, OFFLOAD, OFFLOAD, FULL_KEEP_ATTENTION),
                List.of(NONE, OFFLOAD, OFFLOAD, OFFLOAD, OFFLOAD, SELECTIVE),
                List.of(OFFLOAD, OFFLOAD, OFFLOAD, NONE),
                List.of(SELECTIVE, FULL, OFFLOAD));
        return Stream.concat(all, mixed)
                .flatMap(policies -> Stream.of(When.values()).map(time -> Arguments.of(policies, time)));
    }

    @ParameterizedTest
    @MethodSource("models")
    void everyGradientHasTheBitsOfFull(List<Recompute> policies, When time) {
        LlamaConfig config = config(policies.size());
        try (Parameters p = parameters(config);
                LlamaEngine full = new LlamaEngine(config, p, new AtenOps(), FULL);
                LlamaEngine engine = new LlamaEngine(config, p, with(new HardCopies(time)), policies)) {
            assertSame(train(full, p), train(engine, p));
        }
    }

    @Test
    void theCopiesOfACpuDoTheSame() {
        LlamaConfig config = config(5);
        try (Parameters p = parameters(config);
                LlamaEngine full = new LlamaEngine(config, p, new AtenOps(), FULL);
                LlamaEngine engine = new LlamaEngine(config, p, new AtenOps(), OFFLOAD)) {
            assertSame(train(full, p), train(engine, p));
        }
    }

    /// The backward pass of adapters ends at the lowest block that has one: no one asks for what waits
    /// for blocks below.
    @ParameterizedTest
    @EnumSource(When.class)
    void adaptersOfUpperBlocksHaveTheBitsOfFull(When time) {
        LlamaConfig config = config(6);
        AdapterConfig names = new AdapterConfig(
                2,
                4,
                0.25,
                new AdapterConfig.Targets.Names(List.of("layers.3.self_attn.q_proj", "layers.4.mlp.up_proj")),
                List.of(),
                false,
                false,
                Map.of(),
                Map.of(),
                LoraInit.TRUE);
        try (Parameters p = parameters(config);
                Adapters adapters = Adapters.of(names, config, Devices.cpu())) {
            FrozenBase base = FrozenBase.of(p);
            adapters.trained().enableGradients();
            adapters.trained().flatWeights().normal_(0, 0.1, new GeneratorOptional());
            try (LlamaEngine full = new LlamaEngine(config, base, adapters, new AtenOps(), FULL);
                    LlamaEngine engine = new LlamaEngine(
                            config, base, adapters, with(new HardCopies(time)), OFFLOAD.everywhere(6))) {
                assertSame(train(full, adapters.trained()), train(engine, adapters.trained()));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5})
    void allButTwoInputsGoOutAndComeBackOnceAPassAndNoneForAnEvaluation(int layers) {
        LlamaConfig config = config(layers);
        HardCopies copies = new HardCopies(When.EARLY);
        try (Parameters p = parameters(config);
                LlamaEngine engine = new LlamaEngine(config, p, with(copies), OFFLOAD)) {
            engine.loss(batch(1, 9), LOSS);
            engine.logits(batch(1, 9), batch(1, 9).labelRows());
            assertEquals(0, copies.out + copies.in);
            engine.startStep();
            engine.accumulate(batch(2, 9), LOSS, 1);
            engine.accumulate(batch(3, 7), LOSS, 1);
            assertEquals(2 * Math.max(0, layers - 2), copies.out);
            assertEquals(copies.out, copies.in);
        }
    }

    /// Of five inputs three go out, each while the next two blocks compute, and come back, each while the one
    /// between computes.
    @Test
    void blocksComputeBesideCopies() {
        LlamaConfig config = config(5);
        HardCopies copies = new HardCopies(When.LATE);
        try (Parameters p = parameters(config);
                LlamaEngine engine = new LlamaEngine(config, p, with(copies), OFFLOAD)) {
            engine.startStep();
            engine.accumulate(batch(2, 9), LOSS, 1);
            assertEquals(3 + 3, copies.beside);
        }
    }

    /// @param offloaded the first so many of five blocks
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 5})
    void thePlanIsTheBuffersToTheByteAndTellsTheHostsApart(int offloaded) {
        LlamaConfig config = config(5);
        List<Recompute> policies = Stream.iterate(0, i -> i + 1)
                .limit(5)
                .map(i -> i < offloaded ? OFFLOAD : FULL)
                .toList();
        HardCopies copies = new HardCopies(When.LATE);
        try (Parameters p = parameters(config);
                LlamaEngine engine = new LlamaEngine(config, p, with(copies), policies)) {
            engine.loss(batch(1, 11), LOSS);
            long input = 11L * config.hiddenSize() * 4;
            long out = Math.max(0, offloaded - 2);
            assertEquals(
                    out * input,
                    copies.memory.stream().mapToLong(Tensor::nbytes).sum());
            assertEquals(out * input, engine.hostBytes());
            assertEquals(out * input, LlamaEngine.plannedHostBytes(config, policies, Dtype.F32, 11));
            long full = LlamaEngine.plannedBytes(config, FULL.everywhere(5), Dtype.F32, Devices.cpu(), 11);
            assertEquals(full - out * input, engine.bufferBytes());
            assertEquals(
                    engine.bufferBytes(), LlamaEngine.plannedBytes(config, policies, Dtype.F32, Devices.cpu(), 11));
        }
    }

    static Stream<Arguments> failures() {
        return Stream.of("attention", "rmsNormBackward")
                .flatMap(where -> Stream.of(2, 6).map(call -> Arguments.of(where, call)))
                .flatMap(a -> Stream.of(true, false).map(shrinks -> Arguments.of(a.get()[0], a.get()[1], shrinks)));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void aPassThatBrokeOffLeavesNothingBehind(String where, int call, boolean shrinks) {
        LlamaConfig config = config(5);
        Copies copies = new HardCopies(When.LATE);
        int[] calls = {0};
        Ops failing = OpsCalls.to((method, args) -> {
            if (method.getName().equals(where) && ++calls[0] == call) {
                throw new RuntimeException("CUDA out of memory. Tried to allocate 2.00 GiB.");
            }
            return method.getName().equals("copies") ? copies : method.invoke(new AtenOps(), args);
        });
        try (Parameters p = parameters(config);
                LlamaEngine full = new LlamaEngine(config, p, new AtenOps(), FULL);
                LlamaEngine engine = new LlamaEngine(config, p, failing, OFFLOAD)) {
            engine.startStep();
            assertThrows(RuntimeException.class, () -> engine.accumulate(batch(9, 12), LOSS, 1));
            if (shrinks) {
                engine.shrink();
                assertEquals(0, engine.bufferBytes() + engine.hostBytes());
            }
            assertSame(train(full, p), train(engine, p));
        }
    }

    @Test
    void whereTheHostHasNoMemoryNothingIsLeft() {
        LlamaConfig config = config(5);
        Copies cpu = Copies.of(Devices.cpu());
        int[] calls = {0};
        Copies none = new Copies() {
            @Override
            public Tensor hostMemory(ScalarType type, long... shape) {
                if (++calls[0] % 2 == 0) {
                    throw new InputException("no pinned memory");
                }
                return cpu.hostMemory(type, shape);
            }

            @Override
            public Channel channel() {
                return cpu.channel();
            }

            @Override
            public void close() {
                cpu.close();
            }
        };
        try (Parameters p = parameters(config);
                LlamaEngine engine = new LlamaEngine(config, p, with(none), OFFLOAD)) {
            PackedBatch batch = batch(1, 8);
            assertThrows(InputException.class, () -> engine.loss(batch, LOSS));
            long before = LivePointers.settled();
            assertThrows(InputException.class, () -> engine.loss(batch, LOSS));
            assertEquals(before, LivePointers.settled());
            assertEquals(4, calls[0]);
        }
    }

    /// Two steps of micro-batches of several sizes, with evaluations between: the gradients of each, and
    /// what was evaluated.
    private static List<Tensor> train(LlamaEngine engine, Parameters trained) {
        List<Tensor> results = new ArrayList<>();
        for (int step = 0; step < 2; step++) {
            engine.startStep();
            for (int length : new int[] {6, 17, 3, 11}) {
                results.add(engine.accumulate(batch(10 * step + length, length, 2), LOSS, 0.1));
                results.add(engine.loss(batch(1, 5, 8), LOSS));
                results.add(engine.logits(
                        batch(2, 21 * step + 2), batch(2, 21 * step + 2).labelRows()));
            }
            engine.endStep();
            results.add(trained.flatGradients().clone());
        }
        return results;
    }

    private static void assertSame(List<Tensor> expected, List<Tensor> actual) {
        assertEquals(expected.size(), actual.size());
        for (int i = 0; i < expected.size(); i++) {
            assertBitEqual("result " + i, expected.get(i), actual.get(i));
        }
    }

    private static PackedBatch batch(int seed, int... lengths) {
        return Batches.of(config(1), seed, Devices.cpu(), lengths);
    }

    private static Parameters parameters(LlamaConfig config) {
        Parameters p = new Parameters(ParameterLayout.of(config), Dtype.F32, Devices.cpu());
        Initialisation.fill(p, config, 7);
        p.enableGradients();
        return p;
    }

    private static LlamaConfig config(int layers) {
        return new LlamaConfig(
                "llama",
                67,
                32,
                48,
                layers,
                4,
                2,
                8,
                1e-5,
                new Rope(10000, 8, new RopeScaling.Default()),
                64,
                false,
                false,
                false,
                false,
                0.05,
                OptionalInt.empty(),
                List.of());
    }

    /// The CPU's operations with other copies.
    private static Ops with(Copies copies) {
        return OpsCalls.with(new AtenOps(), "copies", copies);
    }
}
