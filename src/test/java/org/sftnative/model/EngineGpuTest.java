package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.support.TensorAssert.assertBitEqual;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.CudaOps;
import org.sftnative.ops.Ops;
import org.sftnative.support.NativeScope;
import org.sftnative.support.OpsCalls;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// The engine in bf16 on a card, through the kernels, against the reference model in fp32 with the same weights.
@Tag("gpu")
@ExtendWith(NativeScope.class)
class EngineGpuTest {
    private Device device;

    @BeforeEach
    void open() {
        device = Devices.parse("cuda");
    }

    static Stream<Arguments> shapes() {
        int[] ragged = {97, 1, 300, 13, 211};
        int[] even = {512, 512};
        return Stream.of(
                Arguments.of("heads of 32, 8 on 2, ragged", config(256, 688, 8, 2, false, false), ragged),
                Arguments.of("heads of 64, 4 on 4, even", config(256, 704, 4, 4, false, false), even),
                Arguments.of("heads of 128, 4 on 1, biases, ragged", config(512, 1376, 4, 1, true, false), ragged),
                Arguments.of("heads of 64, 9 on 3, tied, even", config(576, 1536, 9, 3, false, true), even),
                Arguments.of(
                        "heads of 64, 9 on 3, tied, one token", config(576, 1536, 9, 3, false, true), new int[] {3, 1
                        }));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("shapes")
    void gradientsEqualTheFp32Reference(String name, LlamaConfig config, int[] lengths) {
        PackedBatch batch = batch(config, lengths);
        double scale = 1.0 / batch.labelTokens();
        try (Parameters wide = new Parameters(ParameterLayout.of(config), Dtype.F32, device);
                Parameters narrow = new Parameters(ParameterLayout.of(config), Dtype.BF16, device);
                LlamaEngine engine = engine(config, narrow, Recompute.SELECTIVE)) {
            Initialisation.fill(narrow, config, 7);
            try (NoGradGuard _ = new NoGradGuard()) {
                wide.flatWeights().copy_(narrow.flatWeights());
            }
            Llama reference = new Llama(config, wide, Llama.Options.PLAIN);
            reference.startStep();
            double expected =
                    reference.accumulate(batch, new CrossEntropy(), scale).item_double();
            engine.startStep();
            double loss = engine.accumulate(batch, new CrossEntropy(), scale).item_double();
            assertEquals(expected, loss, 2e-3 * expected, name + ": loss");
            for (ParameterLayout.Slot slot : wide.layout().slots().values()) {
                double error = error(narrow.gradient(slot.name()), wide.gradient(slot.name()));
                // bf16 has 8 bits: each rounding is up to 2e-3 of a value; measured 3.1e-2 at most (q_proj)
                assertTrue(error < 4e-2, name + ": gradient of " + slot.name() + " is off by " + error);
            }
        }
    }

    @Test
    void twoMicroBatchesAddUpToOne() {
        LlamaConfig config = config(256, 688, 8, 2, false, false);
        int[] lengths = {200, 100, 300};
        try (Parameters p = new Parameters(ParameterLayout.of(config), Dtype.BF16, device);
                LlamaEngine engine = engine(config, p, Recompute.FULL_KEEP_ATTENTION)) {
            Initialisation.fill(p, config, 7);
            engine.startStep();
            engine.accumulate(batch(config, lengths), new CrossEntropy(), 1e-3);
            Tensor whole = p.flatGradients().clone();
            engine.startStep();
            engine.accumulate(batch(config, Arrays.copyOf(lengths, 2)), new CrossEntropy(), 1e-3);
            engine.accumulate(tail(config, lengths), new CrossEntropy(), 1e-3);
            assertTrue(error(p.flatGradients(), whole) < 1e-2);
        }
    }

    @Test
    void whatIsComputedAgainGivesTheSameLossAndNearlyTheSameGradients() {
        LlamaConfig config = config(256, 688, 8, 2, true, false);
        PackedBatch batch = batch(config, new int[] {150, 250});
        try (Parameters p = new Parameters(ParameterLayout.of(config), Dtype.BF16, device)) {
            Initialisation.fill(p, config, 7);
            Tensor[] gradients = new Tensor[Recompute.values().length];
            double[] losses = new double[gradients.length];
            for (Recompute policy : Recompute.values()) {
                try (LlamaEngine engine = engine(config, p, policy)) {
                    engine.startStep();
                    losses[policy.ordinal()] =
                            engine.accumulate(batch, new CrossEntropy(), 1e-3).item_double();
                    gradients[policy.ordinal()] = p.flatGradients().clone();
                }
                assertEquals(losses[0], losses[policy.ordinal()], policy.toString());
                // flash attention's backward adds dq in any order
                assertTrue(error(gradients[policy.ordinal()], gradients[0]) < 2e-3, policy.toString());
            }
        }
    }

    /// Six blocks, of which four wait in the host's memory. Documents of up to 64 tokens are one block of flash
    /// attention's backward, which adds to dq once then: bit for bit. Of longer ones it adds in any order.
    @ParameterizedTest
    @ValueSource(ints = {64, 700})
    void whatIsOffloadedGivesTheGradientsOfFull(int longest) {
        LlamaConfig config = config(1024, 2816, 8, 2, false, false, 6);
        List<Recompute> mixed = List.of(
                Recompute.OFFLOAD,
                Recompute.OFFLOAD,
                Recompute.NONE,
                Recompute.OFFLOAD,
                Recompute.FULL,
                Recompute.OFFLOAD);
        try (Parameters p = new Parameters(ParameterLayout.of(config), Dtype.BF16, device);
                LlamaEngine full = engine(config, p, Recompute.FULL);
                LlamaEngine again = engine(config, p, Recompute.FULL);
                LlamaEngine offload = engine(config, p, Recompute.OFFLOAD);
                LlamaEngine some = new LlamaEngine(config, p, ops(), mixed)) {
            Initialisation.fill(p, config, 7);
            p.enableGradients();
            int most = 0;
            for (int tokens : new int[] {3000, 900, 8000}) {
                List<PackedBatch> batches =
                        List.of(batch(config, lengths(tokens, longest)), batch(config, lengths(tokens / 3, longest)));
                most = Math.max(most, batches.getFirst().tokens()); // rounded up where lengths differ
                Tensor expected = gradient(full, p, batches);
                for (LlamaEngine engine : List.of(again, offload, some)) {
                    Tensor actual = gradient(engine, p, batches);
                    String what = tokens + " tokens, " + engine.hostBytes() + " bytes in the host's memory";
                    if (longest <= 64) {
                        assertBitEqual(what, expected, actual);
                    } else {
                        // measured 7.2e-3 between full and itself
                        assertTrue(error(actual, expected) < 2e-2, what + ": " + error(actual, expected));
                    }
                }
            }
            assertEquals(4L * most * 1024 * 2, offload.hostBytes());
            assertEquals(2L * most * 1024 * 2, some.hostBytes());
            assertEquals(
                    LlamaEngine.plannedBytes(config, Recompute.OFFLOAD.everywhere(6), Dtype.BF16, device, most),
                    offload.bufferBytes());
        }
    }

    /// Of a step, with an evaluation between its micro-batches.
    private Tensor gradient(LlamaEngine engine, Parameters p, List<PackedBatch> batches) {
        engine.startStep();
        for (PackedBatch batch : batches) {
            engine.accumulate(batch, new CrossEntropy(), 1e-3);
            engine.loss(batches.getLast(), new CrossEntropy());
        }
        return p.flatGradients().clone();
    }

    private static int[] lengths(int tokens, int longest) {
        int n = tokens / longest;
        int[] lengths = new int[n + 1];
        Arrays.fill(lengths, 0, n, longest);
        lengths[n] = tokens - n * longest;
        return lengths[n] > 0 ? lengths : Arrays.copyOf(lengths, n);
    }

    @Test
    void evaluationGivesTheSameBitsTwice() {
        LlamaConfig config = config(512, 1376, 4, 1, true, false);
        PackedBatch batch = batch(config, new int[] {700, 20});
        try (Parameters p = new Parameters(ParameterLayout.of(config), Dtype.BF16, device);
                LlamaEngine engine = engine(config, p, Recompute.NONE)) {
            Initialisation.fill(p, config, 7);
            assertBitEqual("logits", engine.logits(batch, batch.labelRows()), engine.logits(batch, batch.labelRows()));
        }
    }

    @Test
    void rowsWithoutATargetHaveNoLossAndNoGradient() {
        for (Ops ops : List.of(ops(), new AtenOps())) {
            Tensor logits = Tensors.ofFloats(new float[] {1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 1}, device, 3, 4)
                    .to(ScalarType.BFloat16);
            Tensor asked = logits.index_select(0, Tensors.ofInts(new int[] {0, 2}, device));
            Tensor all = logits.clone();
            double loss = ops.crossEntropy(asked, Tensors.ofInts(new int[] {3, 1}, device), 0.5)
                    .item_double();
            double same = ops.crossEntropy(all, Tensors.ofInts(new int[] {3, -100, 1}, device), 0.5)
                    .item_double();
            assertEquals(loss, same, 1e-6);
            assertBitEqual("asked", asked, all.index_select(0, Tensors.ofInts(new int[] {0, 2}, device)));
            assertEquals(0, all.narrow(0, 1, 1).abs().max().item_double());
        }
    }

    /// The same batches in the same order, recorded and not: shapes that come again, in turns, in one
    /// micro-batch a step and in two, with other allocations between, and a larger one that ends all
    /// recordings.
    @Test
    void recordedPassesHaveTheSameLossesAndNearlyTheSameGradients() {
        LlamaConfig config = config(576, 1536, 9, 3, false, true);
        int[][] steps = {
            {97, 20, 300},
            {300, 20, 97},
            {97, 20, 30},
            {40, 300, 77},
            {30, 97, 20},
            {301, 19, 90},
            {500, 400, 30},
            {97, 20, 300},
            {95, 22, 290},
            {200, 207},
            {300, 107},
            {96, 30, 281}
        };
        int[] calls = {0, 0};
        try (Parameters p = new Parameters(ParameterLayout.of(config), Dtype.BF16, device);
                LlamaEngine plain = new LlamaEngine(config, p, without(ops()), Recompute.SELECTIVE);
                LlamaEngine recorded = new LlamaEngine(config, p, counting(ops(), calls), Recompute.SELECTIVE)) {
            Initialisation.fill(p, config, 7);
            for (int i = 0; i < 2 * steps.length; i++) {
                PackedBatch[] batches = new PackedBatch[1 + i % 3 / 2];
                for (int b = 0; b < batches.length; b++) {
                    batches[b] = Batches.of(config, 100 * i + b, device, steps[(i + b) % steps.length]);
                }
                double[] expected = losses(plain, batches);
                Tensor gradients = p.flatGradients().clone();
                assertArrayEquals(expected, losses(recorded, batches), "losses of step " + i);
                double error = error(p.flatGradients(), gradients);
                // flash attention's backward adds dq in any order; measured 4.2e-3 here, 7.2e-3 elsewhere
                assertTrue(error < 2e-2, "gradients of step " + i + " are off by " + error);
            }
            assertTrue(calls[0] >= 6 && calls[1] > calls[0], calls[0] + " recorded, replayed " + calls[1]);
        }
    }

    private static double[] losses(LlamaEngine engine, PackedBatch[] batches) {
        engine.startStep();
        double[] losses = Arrays.stream(batches)
                .mapToDouble(b -> engine.accumulate(b, new CrossEntropy(), 1e-3).item_double())
                .toArray();
        engine.endStep();
        return losses;
    }

    private static Ops without(Ops ops) {
        return OpsCalls.with(ops, "recorder", Optional.empty());
    }

    /// @param calls become how often something was recorded, and replayed
    private static Ops counting(Ops ops, int[] calls) {
        Ops.Recorder recorder = ops.recorder().orElseThrow();
        return OpsCalls.with(ops, "recorder", Optional.of(new Ops.Recorder() {
            @Override
            public Ops.Recording recorded(Runnable work) {
                calls[0]++;
                Ops.Recording recording = recorder.recorded(work);
                return new Ops.Recording() {
                    @Override
                    public void replay() {
                        calls[1]++;
                        recording.replay();
                    }

                    @Override
                    public void close() {
                        recording.close();
                    }
                };
            }

            @Override
            public void close() {
                recorder.close();
            }
        }));
    }

    private Ops ops() {
        return switch (CudaOps.probe(device)) {
            case CudaOps.Probe.Ready(CudaOps ops, String _) -> ops;
            case CudaOps.Probe.Missing(String reason) -> throw new AssertionError(reason);
        };
    }

    private LlamaEngine engine(LlamaConfig config, Parameters parameters, Recompute policy) {
        return new LlamaEngine(config, parameters, ops(), policy);
    }

    private static double error(Tensor actual, Tensor expected) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor e = expected.to(ScalarType.Double);
            double norm = e.norm().item_double();
            double difference = actual.to(ScalarType.Double).sub(e).norm().item_double();
            return norm == 0 ? difference : difference / norm;
        }
    }

    private PackedBatch batch(LlamaConfig config, int[] lengths) {
        return batch(config, lengths, 0);
    }

    /// The last document of a batch of those lengths, with the same tokens.
    private PackedBatch tail(LlamaConfig config, int[] lengths) {
        return batch(config, lengths, lengths.length - 1);
    }

    private PackedBatch batch(LlamaConfig config, int[] lengths, int from) {
        SplittableRandom random = new SplittableRandom(5);
        int skipped = Arrays.stream(lengths).limit(from).sum();
        int tokens = Arrays.stream(lengths).sum() - skipped;
        random.ints(skipped, 3, config.vocabSize()).sum();
        int[] ids = random.ints(tokens, 3, config.vocabSize()).toArray();
        int[] targets = new int[tokens];
        int[] cu = new int[lengths.length - from + 1];
        for (int d = from, at = 0; d < lengths.length; d++) {
            System.arraycopy(ids, at + 1, targets, at, lengths[d] - 1);
            targets[at + lengths[d] - 1] = -100;
            at += lengths[d];
            cu[d - from + 1] = at;
        }
        return PackedBatch.of(ids, targets, cu, device);
    }

    private static LlamaConfig config(int c, int f, int h, int k, boolean bias, boolean tied) {
        return config(c, f, h, k, bias, tied, 3);
    }

    private static LlamaConfig config(int c, int f, int h, int k, boolean bias, boolean tied, int layers) {
        return new LlamaConfig(
                bias ? "qwen2" : "llama",
                1000,
                c,
                f,
                layers,
                h,
                k,
                c / h,
                1e-5,
                new Rope(10000, c / h, new RopeScaling.Default()),
                2048,
                tied,
                bias,
                false,
                false,
                0.05,
                OptionalInt.empty(),
                List.of());
    }
}
