package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.support.TensorAssert.assertBitEqual;
import static org.sftnative.support.TensorAssert.assertCloseToScale;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.World;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.optim.RateGroup;
import org.sftnative.support.NativeScope;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// Adapters against PEFT, in both engines: LoRA, rsLoRA, DoRA, patterns, modules trained in full.
@ExtendWith(NativeScope.class)
class LoraGoldenTest {
    private static final LossFunction CROSS_ENTROPY = new CrossEntropy();

    static Stream<Arguments> casesAndEngines() {
        return GoldenAdapters.names().flatMap(name -> Stream.of(true, false).map(fused -> Arguments.of(name, fused)));
    }

    static Stream<Arguments> casesAndPolicies() {
        return GoldenAdapters.names()
                .flatMap(name -> Arrays.stream(Recompute.values()).map(policy -> Arguments.of(name, policy)));
    }

    @ParameterizedTest
    @MethodSource("casesAndEngines")
    void logitsEqualPeft(String name, boolean fused) {
        try (GoldenAdapters golden = GoldenAdapters.load(name);
                CausalLm model = golden.model(fused)) {
            PackedBatch batch = golden.model().pack();
            for (int d = 0; d < golden.model().documents(); d++) {
                int from = batch.cuSeqlens()[d];
                long[] rows = IntStream.range(from, batch.cuSeqlens()[d + 1])
                        .asLongStream()
                        .toArray();
                assertCloseToScale(
                        name + ", document " + d,
                        golden.floats("document." + d + ".logits"),
                        Tensors.floats(model.logits(batch, Tensors.ofLongs(rows, Devices.cpu()))),
                        1e-5);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("casesAndEngines")
    void everyGradientEqualsPeft(String name, boolean fused) {
        try (GoldenAdapters golden = GoldenAdapters.load(name);
                CausalLm model = golden.model(fused)) {
            PackedBatch batch = golden.model().pack();
            model.startStep();
            double loss = model.accumulate(batch, CROSS_ENTROPY, 1.0 / batch.labelTokens())
                    .item_double();
            assertEquals(golden.losses().getFirst(), loss / batch.labelTokens(), 1e-5);
            for (String weight : golden.adapters().trained().layout().slots().keySet()) {
                assertNormClose(
                        name + ", gradient of " + weight,
                        golden.floats("gradient." + weight),
                        Tensors.floats(golden.adapters().trained().gradient(weight)),
                        1e-5);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("casesAndEngines")
    void twentyStepsHavePeftsLosses(String name, boolean fused) {
        try (GoldenAdapters golden = GoldenAdapters.load(name);
                CausalLm model = golden.model(fused)) {
            Tensor before = golden.model().parameters().flatWeights().clone();
            Parameters trained = golden.adapters().trained();
            trained.enableGradients();
            long n = trained.layout().numel();
            long[] b = golden.adapters().rangeOfB();
            List<RateGroup> groups = List.of(
                    new RateGroup(0, b[0], 1), new RateGroup(b[0], b[1], golden.ratio()), new RateGroup(b[1], n, 1));
            AdamWUpdate update = new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, 0, 0, 0);
            AdamWState state = AdamWState.create(AdamWState.Masters.FP32, AdamWState.Moments.FP32, n, Devices.cpu());
            try (AdamWOptimizer optimizer = new AdamWOptimizer(
                    new AtenOps(),
                    trained.flatWeights(),
                    trained.flatGradients(),
                    update,
                    state,
                    groups,
                    ShardingChoice.NONE,
                    World.ALONE)) {
                PackedBatch batch = golden.model().pack();
                for (double expected : golden.losses()) {
                    model.startStep();
                    double sum = model.accumulate(batch, CROSS_ENTROPY, 1.0 / batch.labelTokens())
                            .item_double();
                    assertEquals(expected, sum / batch.labelTokens(), 1e-4 * expected);
                    optimizer.step(golden.learningRate(), 1.0);
                }
            }
            assertBitEqual(
                    "the frozen model", before, golden.model().parameters().flatWeights());
        }
    }

    @ParameterizedTest
    @MethodSource("casesAndPolicies")
    void whatIsComputedAgainAndTheCutChangeNothing(String name, Recompute policy) {
        try (GoldenAdapters golden = GoldenAdapters.load(name);
                LlamaEngine keeps = golden.engine(Recompute.NONE);
                LlamaEngine engine = golden.engine(policy)) {
            GoldenModel model = golden.model();
            double scale = 1.0 / model.pack().labelTokens();
            keeps.startStep();
            keeps.accumulate(model.pack(), CROSS_ENTROPY, scale);
            Tensor expected = golden.adapters().trained().flatGradients().clone();
            engine.startStep();
            engine.accumulate(model.pack(), CROSS_ENTROPY, scale);
            assertBitEqual(name, expected, golden.adapters().trained().flatGradients());
            engine.startStep();
            for (int d = model.documents() - 1; d >= 0; d--) {
                engine.accumulate(model.pack(d, d + 1, -1), CROSS_ENTROPY, scale);
            }
            assertGradientsClose(golden, expected, 2e-6);
        }
    }

    /// Dropout is a function of seed, step and document: the engines, the policies and the cut agree on it.
    @ParameterizedTest
    @ValueSource(strings = {"lora", "dora-biases", "patterns"})
    void dropoutIsTheSameInBothEnginesAndInEveryCut(String name) {
        try (GoldenAdapters plain = GoldenAdapters.load(name)) {
            GoldenAdapters golden = plain.dropping(0.3);
            GoldenModel model = golden.model();
            double scale = 1.0 / model.pack().labelTokens();
            Llama reference = golden.llama(false);
            reference.startStep();
            double expected = reference
                    .accumulate(model.pack().inStep(7, 3), CROSS_ENTROPY, scale)
                    .item_double();
            Tensor gradients = golden.adapters().trained().flatGradients().clone();
            for (Recompute policy : Recompute.values()) {
                try (LlamaEngine engine = golden.engine(policy)) {
                    engine.startStep();
                    double loss = engine.accumulate(model.pack().inStep(7, 3), CROSS_ENTROPY, scale)
                            .item_double();
                    assertEquals(expected, loss, 1e-6 * expected);
                    assertGradientsClose(golden, gradients, 5e-6); // between engines; measured 2.5e-6
                    Tensor whole = golden.adapters().trained().flatGradients().clone();
                    engine.startStep();
                    for (int d = model.documents() - 1; d >= 0; d--) {
                        engine.accumulate(model.pack(d, d + 1, -1).inStep(7, 3), CROSS_ENTROPY, scale);
                    }
                    assertGradientsClose(golden, whole, 2e-6);
                    engine.startStep();
                    double other = engine.accumulate(model.pack().inStep(7, 4), CROSS_ENTROPY, scale)
                            .item_double();
                    assertTrue(Math.abs(other - expected) > 1e-4 * expected, "the step does not count");
                    assertEquals(
                            plain.llama(false).loss(model.pack(), CROSS_ENTROPY).item_double(),
                            engine.loss(model.pack().inStep(7, 3), CROSS_ENTROPY)
                                    .item_double(),
                            1e-5 * expected);
                }
            }
        }
    }

    @Test
    void aThirdIsDroppedAndTheRestRaised() {
        Tensor keys = Tensors.ofInts(IntStream.range(0, 500).toArray(), Devices.cpu())
                .to(org.bytedeco.pytorch.global.torch.ScalarType.Int);
        AdapterDropout dropout = new AdapterDropout(1 / 3.0, keys);
        Tensor ones = Tensors.zeros(org.bytedeco.pytorch.global.torch.ScalarType.Float, Devices.cpu(), 500, 400)
                .add_(new org.bytedeco.pytorch.Scalar(1.0));
        float[] dropped = Tensors.floats(dropout.drop("a.q_proj", ones));
        float[] other = Tensors.floats(dropout.drop("a.k_proj", ones));
        int zeros = 0;
        int both = 0;
        for (int i = 0; i < dropped.length; i++) {
            zeros += dropped[i] == 0 ? 1 : 0;
            both += dropped[i] == 0 && other[i] == 0 ? 1 : 0;
            assertTrue(dropped[i] == 0 || Math.abs(dropped[i] - 1.5f) < 1e-6f);
        }
        assertEquals(1 / 3.0, zeros / 200_000.0, 0.005); // 4.7 standard deviations
        assertEquals(1 / 9.0, both / 200_000.0, 0.005);
        for (int row = 0; row < 500; row++) {
            int inRow = 0;
            for (int i = 0; i < 400; i++) {
                inRow += dropped[row * 400 + i] == 0 ? 1 : 0;
            }
            assertEquals(133, inRow, 50, "row " + row);
        }
    }

    /// What is frozen has no gradient; what training holds is the plan's buffers and four fp32 numbers a trained one.
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void theFrozenModelHasNoGradients(boolean fused) {
        try (GoldenAdapters golden = GoldenAdapters.load("lora");
                CausalLm model = golden.model(fused)) {
            model.startStep();
            model.accumulate(golden.model().pack(), CROSS_ENTROPY, 1);
            org.junit.jupiter.api.Assertions.assertThrows(
                    IllegalStateException.class,
                    () -> golden.model().parameters().flatGradients());
            for (String name : golden.model().parameters().layout().slots().keySet()) {
                assertTrue(!golden.model().parameters().weight(name).requires_grad(), name);
            }
            assertEquals(golden.adapters().trained(), model.parameters());
        }
    }

    /// The frozen matrices of both engines come through the seam that packed ones come through.
    @ParameterizedTest
    @ValueSource(strings = {"lora", "dora"})
    void packedMatricesGiveWhatTheyUnpackTo(String name) {
        try (GoldenAdapters golden = GoldenAdapters.load(name)) {
            FrozenBase packed = golden.packed();
            double scale = 1;
            CausalLm whole = golden.engine(Recompute.NONE);
            whole.startStep();
            double expected = whole.accumulate(golden.model().pack(), CROSS_ENTROPY, scale)
                    .item_double();
            Tensor gradients = golden.adapters().trained().flatGradients().clone();
            LlamaConfig config = golden.model().config();
            for (CausalLm model : List.of(
                    new LlamaEngine(config, packed, golden.adapters(), new AtenOps(), Recompute.FULL),
                    new Llama(config, packed, golden.adapters(), new Llama.Options(true, false)))) {
                model.startStep();
                assertEquals(
                        expected,
                        model.accumulate(golden.model().pack(), CROSS_ENTROPY, scale)
                                .item_double(),
                        1e-6 * expected);
                assertGradientsClose(golden, gradients, 5e-6); // between engines; measured 2.1e-6
                model.close();
            }
            whole.close();
        }
    }

    private static void assertGradientsClose(GoldenAdapters golden, Tensor expected, double tolerance) {
        Parameters trained = golden.adapters().trained();
        for (ParameterLayout.Slot slot : trained.layout().slots().values()) {
            assertNormClose(
                    slot.name(),
                    Tensors.floats(Parameters.view(expected, slot)),
                    Tensors.floats(trained.gradient(slot.name())),
                    tolerance);
        }
    }
}
