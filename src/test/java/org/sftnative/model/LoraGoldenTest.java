package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.support.TensorAssert.assertBitEqual;
import static org.sftnative.support.TensorAssert.assertCloseToScale;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.optim.RateGroup;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// Adapters against PEFT, in both engines: LoRA, rsLoRA, DoRA, patterns, modules trained in full.
class LoraGoldenTest {
    private static final LossFunction CROSS_ENTROPY = new CrossEntropy();
    private PointerScope scope;

    @BeforeEach
    void open() {
        scope = new PointerScope();
    }

    @AfterEach
    void close() {
        scope.close();
    }

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
            AdamWUpdate update = new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, 0, 0);
            AdamWState state = AdamWState.create(AdamWState.Masters.FP32, AdamWState.Moments.FP32, n, Devices.cpu());
            try (AdamWOptimizer optimizer = new AdamWOptimizer(
                    new AtenOps(), trained.flatWeights(), trained.flatGradients(), update, state, groups)) {
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
