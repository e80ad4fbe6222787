package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.support.TensorAssert.assertBitEqual;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.ops.AtenOps;
import org.sftnative.support.LivePointers;
import org.sftnative.support.NativeScope;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// The engine against the reference model: the same losses, logits and gradients, whatever is computed again.
@ExtendWith(NativeScope.class)
class LlamaEngineTest {
    private static final LossFunction CROSS_ENTROPY = new CrossEntropy();

    static Stream<Arguments> modelsAndPolicies() {
        return GoldenModel.names()
                .flatMap(name -> Arrays.stream(Recompute.values()).map(policy -> Arguments.of(name, policy)));
    }

    @ParameterizedTest
    @MethodSource("modelsAndPolicies")
    void everyGradientEqualsTheReference(String name, Recompute policy) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            PackedBatch batch = golden.pack();
            double scale = 1.0 / batch.labelTokens();
            Llama reference = golden.llama(false);
            reference.startStep();
            double expected = reference.accumulate(batch, CROSS_ENTROPY, scale).item_double();
            Tensor gradients = golden.parameters().flatGradients().clone();
            try (LlamaEngine engine = engine(golden, policy)) {
                golden.parameters().flatGradients().fill_(new Scalar(Float.NaN)); // poisoned
                zeroGaps(golden);
                engine.startStep();
                double loss = engine.accumulate(batch, CROSS_ENTROPY, scale).item_double();
                assertEquals(expected, loss, 1e-6 * expected);
                assertGradientsClose(name + ", " + policy, golden, gradients, 2e-6);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void laterMicroBatchesAreAdded(String name) {
        try (GoldenModel golden = GoldenModel.load(name);
                LlamaEngine engine = engine(golden, Recompute.SELECTIVE)) {
            int n = golden.documents();
            double scale = 1.0 / golden.pack().labelTokens();
            engine.startStep();
            engine.accumulate(golden.pack(), CROSS_ENTROPY, scale);
            Tensor whole = golden.parameters().flatGradients().clone();
            engine.startStep();
            for (int d = n - 1; d >= 0; d--) {
                engine.accumulate(golden.pack(d, d + 1, -1), CROSS_ENTROPY, scale);
            }
            assertGradientsClose(name, golden, whole, 2e-6);
        }
    }

    @ParameterizedTest
    @EnumSource(Recompute.class)
    void whatIsComputedAgainGivesTheSameBits(Recompute policy) {
        try (GoldenModel golden = GoldenModel.load("llama3");
                LlamaEngine keeps = engine(golden, Recompute.NONE);
                LlamaEngine engine = engine(golden, policy)) {
            keeps.startStep();
            keeps.accumulate(golden.pack(), CROSS_ENTROPY, 1);
            Tensor expected = golden.parameters().flatGradients().clone();
            engine.startStep();
            engine.accumulate(golden.pack(), CROSS_ENTROPY, 1);
            assertBitEqual(policy.toString(), expected, golden.parameters().flatGradients());
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void logitsAndEvaluationEqualTheReference(String name) {
        try (GoldenModel golden = GoldenModel.load(name);
                LlamaEngine engine = engine(golden, Recompute.FULL)) {
            PackedBatch batch = golden.pack();
            Tensor all = Tensors.ofLongs(
                    IntStream.range(0, batch.tokens()).asLongStream().toArray(), Devices.cpu());
            Llama reference = golden.llama(false);
            assertNormClose(
                    name + ", logits",
                    Tensors.floats(reference.logits(batch, all)),
                    Tensors.floats(engine.logits(batch, all)),
                    2e-6);
            double expected = reference.loss(batch, CROSS_ENTROPY).item_double();
            assertEquals(expected, engine.loss(batch, CROSS_ENTROPY).item_double(), 1e-6 * expected);
        }
    }

    @Test
    void anotherObjectiveGoesThroughAutograd() {
        LossFunction smoothed =
                (logits, targets) -> torch.cross_entropy_loss(logits, targets, new TensorOptional(), 2, -100, 0.1);
        try (GoldenModel golden = GoldenModel.load("mistral");
                LlamaEngine engine = engine(golden, Recompute.NONE)) {
            Llama reference = golden.llama(false);
            reference.startStep();
            reference.accumulate(golden.pack(), smoothed, 0.1);
            Tensor expected = golden.parameters().flatGradients().clone();
            engine.startStep();
            engine.accumulate(golden.pack(), smoothed, 0.1);
            assertGradientsClose("label smoothing", golden, expected, 2e-6);
        }
    }

    @Test
    void oneTokenDocumentsAndASmallerBatchAfterALargerOne() {
        try (GoldenModel golden = GoldenModel.load("qwen2");
                LlamaEngine engine = engine(golden, Recompute.FULL)) {
            PackedBatch large = golden.pack();
            PackedBatch odd = PackedBatch.of(
                    new int[] {5, 7, 9, 11, 13, 17, 19},
                    new int[] {-100, -100, 11, 13, -100, 19, -100},
                    new int[] {0, 1, 2, 5, 7},
                    Devices.cpu());
            Llama reference = golden.llama(false);
            reference.startStep();
            reference.accumulate(odd, CROSS_ENTROPY, 1);
            Tensor expected = golden.parameters().flatGradients().clone();
            engine.startStep();
            engine.accumulate(large, CROSS_ENTROPY, 1);
            engine.startStep();
            engine.accumulate(odd, CROSS_ENTROPY, 1);
            assertGradientsClose("odd", golden, expected, 2e-6);
        }
    }

    @ParameterizedTest
    @MethodSource("modelsAndPolicies")
    void thePlanIsTheBuffersToTheByte(String name, Recompute policy) {
        try (GoldenModel golden = GoldenModel.load(name);
                LlamaEngine engine = engine(golden, policy)) {
            PackedBatch batch = golden.pack();
            engine.loss(batch, CROSS_ENTROPY);
            assertEquals(
                    LlamaEngine.plannedBytes(
                            golden.config(),
                            policy.everywhere(golden.config().nLayer()),
                            Dtype.F32,
                            Devices.cpu(),
                            batch.tokens()),
                    engine.bufferBytes());
        }
    }

    @Test
    void blocksMayDifferInWhatTheyKeep() {
        try (GoldenModel golden = GoldenModel.load("llama2")) {
            PackedBatch batch = golden.pack();
            int layers = golden.config().nLayer();
            Tensor expected = null;
            for (int rung = 0; rung <= 4 * layers; rung++) {
                List<Recompute> policies = Recompute.rung(layers, rung);
                try (LlamaEngine engine =
                        new LlamaEngine(golden.config(), golden.parameters(), new AtenOps(), policies)) {
                    engine.startStep();
                    engine.accumulate(batch, CROSS_ENTROPY, 1);
                    assertEquals(
                            LlamaEngine.plannedBytes(
                                    golden.config(), policies, Dtype.F32, Devices.cpu(), batch.tokens()),
                            engine.bufferBytes());
                    if (rung == 0) {
                        expected = golden.parameters().flatGradients().clone();
                    } else {
                        assertGradientsClose(Recompute.describe(policies), golden, expected, 2e-6);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"FULL", "OFFLOAD"})
    void nothingNativeIsLeftBehindByAStep(Recompute policy) {
        try (GoldenModel golden = GoldenModel.load("llama2");
                LlamaEngine engine = engine(golden, policy)) {
            PackedBatch batch = golden.pack();
            engine.startStep();
            try (PointerScope _ = new PointerScope()) {
                engine.accumulate(batch, CROSS_ENTROPY, 1);
            }
            long before = LivePointers.settled();
            for (int step = 0; step < 20; step++) {
                try (PointerScope _ = new PointerScope()) {
                    engine.startStep();
                    engine.accumulate(batch, CROSS_ENTROPY, 1);
                }
            }
            assertEquals(before, LivePointers.count());
        }
    }

    private static LlamaEngine engine(GoldenModel golden, Recompute policy) {
        return new LlamaEngine(golden.config(), golden.parameters(), new AtenOps(), policy);
    }

    /// The gaps between weights are nobody's: they are zero from the start, and stay so.
    private static void zeroGaps(GoldenModel golden) {
        Tensor flat = golden.parameters().flatGradients();
        long end = 0;
        for (ParameterLayout.Slot slot : golden.parameters().layout().slots().values()) {
            flat.narrow(0, end, slot.offset() - end).zero_();
            end = slot.offset() + slot.numel();
        }
        flat.narrow(0, end, flat.numel() - end).zero_();
    }

    private static void assertGradientsClose(String what, GoldenModel golden, Tensor expected, double tolerance) {
        for (ParameterLayout.Slot slot : golden.parameters().layout().slots().values()) {
            assertNormClose(
                    what + ", gradient of " + slot.name(),
                    Tensors.floats(Parameters.view(expected, slot)),
                    Tensors.floats(golden.parameters().gradient(slot.name())),
                    tolerance);
        }
    }
}
