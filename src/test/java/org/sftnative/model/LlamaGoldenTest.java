package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.support.TensorAssert.assertBitEqual;
import static org.sftnative.support.TensorAssert.assertCloseToScale;
import static org.sftnative.support.TensorAssert.assertNormClose;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.ops.AtenOps;
import org.sftnative.support.NativeScope;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// The reference model against transformers, on tiny models of every architecture that is supported.
@ExtendWith(NativeScope.class)
class LlamaGoldenTest {
    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void logitsEqualTransformersForEachDocumentOfAPack(String name) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            PackedBatch batch = golden.pack();
            for (int d = 0; d < golden.documents(); d++) {
                assertCloseToScale(
                        name + ", document " + d,
                        golden.floats("document." + d + ".logits"),
                        Tensors.floats(documentLogits(golden, batch, d)),
                        1e-5); // fp32 noise
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void everyGradientEqualsTransformers(String name) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            PackedBatch batch = golden.pack();
            golden.llama(false).accumulate(batch, new CrossEntropy(), 1.0 / batch.labelTokens());
            for (String weight : golden.parameters().layout().slots().keySet()) {
                assertNormClose(
                        name + ", gradient of " + weight,
                        golden.floats("gradient." + weight),
                        Tensors.floats(golden.parameters().gradient(weight)),
                        1e-5); // fp32; measured 2.7e-6 at most, across versions of libtorch
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void checkpointingGivesTheSameGradientsBitForBit(String name) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            assertBitEqual(name, gradients(golden, false, golden.pack()), gradients(golden, true, golden.pack()));
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void theCutIntoMicroBatchesDoesNotChangeTheGradient(String name) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            int n = golden.documents();
            PackedBatch[] each = IntStream.range(0, n)
                    .mapToObj(d -> golden.pack(d, d + 1, -1))
                    .toArray(PackedBatch[]::new);
            Tensor whole = gradients(golden, false, golden.pack());
            Tensor cut = gradients(golden, false, each);
            for (ParameterLayout.Slot slot :
                    golden.parameters().layout().slots().values()) {
                assertNormClose(
                        name + ", " + slot.name(),
                        Tensors.floats(Parameters.view(whole, slot)),
                        Tensors.floats(Parameters.view(cut, slot)),
                        2e-6);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void changingOneDocumentLeavesTheLogitsOfTheOthersBitEqual(String name) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            int n = golden.documents();
            for (int d = 0; d < n; d++) {
                assertBitEqual(
                        name + ", document " + d,
                        documentLogits(golden, golden.pack(), d),
                        documentLogits(golden, golden.pack(0, n, (d + 1) % n), d));
            }
        }
    }

    @Test
    void aMicroBatchWithoutLabelsAddsNothing() {
        try (GoldenModel golden = GoldenModel.load("llama2")) {
            Tensor before = gradients(golden, false, golden.pack());
            PackedBatch none =
                    PackedBatch.of(new int[] {1, 2, 3}, new int[] {-100, -100, -100}, new int[] {0, 3}, Devices.cpu());
            Tensor sum = golden.llama(false).accumulate(none, new CrossEntropy(), 1.0);
            assertEquals(0.0, sum.item_double());
            assertBitEqual("gradients", before, golden.parameters().flatGradients());
        }
    }

    @Test
    void evaluationGivesTheLossOfTraining() {
        try (GoldenModel golden = GoldenModel.load("llama3")) {
            PackedBatch batch = golden.pack();
            Llama model = golden.llama(false);
            assertEquals(
                    model.accumulate(batch, new CrossEntropy(), 1).item_double(),
                    model.loss(batch, new CrossEntropy()).item_double());
        }
    }

    @ParameterizedTest
    @MethodSource("org.sftnative.model.GoldenModel#names")
    void decodingTokenByTokenGivesTheLogitsOfTheWholeDocument(String name) {
        try (GoldenModel golden = GoldenModel.load(name)) {
            if (golden.config().rope().scaling() instanceof RopeScaling.Dynamic) {
                return; // its frequencies depend on the length, which a cache does not know in advance
            }
            PackedBatch document = golden.pack(1, 2, -1);
            float[] whole = Tensors.floats(documentLogits(golden, document, 0));
            int n = document.tokens();
            int vocab = golden.config().vocabSize();
            int[] ids = Arrays.stream(Tensors.longs(document.inputIds()))
                    .mapToInt(Math::toIntExact)
                    .toArray();
            try (LlamaDecoder model = new LlamaDecoder(golden.config(), golden.parameters(), new AtenOps(), false);
                    KvPool pool = model.pool(n)) {
                KvPool.Range range = pool.reserve(n).orElseThrow();
                next(model, pool, range, 0, Arrays.copyOf(ids, 3));
                for (int t = 3; t < n; t++) {
                    float[] step = next(model, pool, range, t, ids[t]);
                    assertCloseToScale(
                            name + ", token " + t, Arrays.copyOfRange(whole, t * vocab, (t + 1) * vocab), step, 1e-5);
                }
            }
        }
    }

    private static float[] next(LlamaDecoder model, KvPool pool, KvPool.Range range, int past, int... ids) {
        return model.next(List.of(new LlamaDecoder.Part(range, past, ids)), pool)
                .getFirst();
    }

    private static Tensor documentLogits(GoldenModel golden, PackedBatch batch, int document) {
        int[] cu = batch.cuSeqlens();
        long[] rows =
                IntStream.range(cu[document], cu[document + 1]).asLongStream().toArray();
        return golden.llama(false).logits(batch, Tensors.ofLongs(rows, Devices.cpu()));
    }

    /// The flat gradient of batches that are one step, from zero.
    private static Tensor gradients(GoldenModel golden, boolean checkpointing, PackedBatch... batches) {
        golden.parameters().enableGradients();
        golden.parameters().zeroGradients();
        double labels =
                Arrays.stream(batches).mapToLong(PackedBatch::labelTokens).sum();
        for (PackedBatch batch : batches) {
            golden.llama(checkpointing).accumulate(batch, new CrossEntropy(), 1 / labels);
        }
        return golden.parameters().flatGradients().clone();
    }
}
