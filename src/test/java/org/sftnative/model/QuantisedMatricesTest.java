package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sftnative.config.LoraInit;
import org.sftnative.io.ModelDirectory;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.QuantisedMatrix;
import org.sftnative.ops.Quantiser;
import org.sftnative.support.LivePointers;
import org.sftnative.support.TensorAssert;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class QuantisedMatricesTest {
    /// Llama-2-7B.
    static final LlamaConfig SEVEN = LlamaConfig.of((ObjectNode) new JsonMapper().readTree("""
            {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
             "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
             "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false}
            """));

    @ParameterizedTest
    @EnumSource
    void matricesOfBlocksAreQuantisedAndNothingElseIs(Quantiser.Kind kind) {
        try (ModelDirectory directory = ModelDirectory.open(GoldenModel.ROOT.resolve("biases"));
                GoldenModel plain = GoldenModel.load("biases");
                FrozenBase base = load(directory, plain.config(), kind);
                Quantiser quantiser = new Quantiser(kind, Devices.cpu());
                PointerScope _ = new PointerScope()) {
            for (ParameterLayout.Slot slot : plain.parameters().layout().slots().values()) {
                Tensor weight = plain.parameters().weight(slot.name());
                boolean projection = slot.name().contains("_proj.weight");
                assertEquals(projection, base.packed().orElseThrow().has(slot.name()), slot.name());
                assertEquals(!projection, base.dense().has(slot.name()), slot.name());
                if (projection) {
                    try (QuantisedMatrix matrix = quantiser.quantise(weight.detach())) {
                        Tensor read = Tensors.empty(ScalarType.Float, Devices.cpu(), slot.shape());
                        new AtenOps().dequantise(matrix, read);
                        TensorAssert.assertBitEqual(slot.name(), read, base.weight(slot.name()));
                        double error = read.sub(weight).norm().item_double()
                                / weight.norm().item_double();
                        assertTrue(error > 1e-4 && error < 0.12, slot.name() + " " + error);
                    }
                } else {
                    TensorAssert.assertBitEqual(slot.name(), weight, base.weight(slot.name()));
                }
            }
            assertEquals(
                    QuantisedMatrices.plannedBytes(kind, plain.config()),
                    base.packed().orElseThrow().bytes());
        }
    }

    @Test
    void modelIsGivenBackWhole() {
        loadAndClose();
        long before = LivePointers.settled();
        loadAndClose();
        loadAndClose();
        assertEquals(before, LivePointers.count());
    }

    private static void loadAndClose() {
        try (ModelDirectory directory = ModelDirectory.open(GoldenModel.ROOT.resolve("tied"))) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            try (FrozenBase base = load(directory, config, Quantiser.Kind.NF4_DOUBLE)) {
                assertFalse(base.dense().has("model.layers.0.mlp.up_proj.weight"));
            }
        }
    }

    private static FrozenBase load(ModelDirectory directory, LlamaConfig config, Quantiser.Kind kind) {
        return LlamaFiles.loadFrozen(
                directory,
                config,
                Dtype.F32,
                Devices.cpu(),
                Optional.of(new QuantisedMatrices(kind, new AtenOps(), Devices.cpu())));
    }

    /// 4 bits, 8 for each 64 weights, 32 for each 64 x 256: 4.127 bits.
    @Test
    void sevenBillionTakeThreeGibibytes() {
        long weights = 32L * (4L * 4096 * 4096 + 3L * 4096 * 11008);
        assertEquals(
                weights / 2 + weights / 64 + 4 * (weights / (64 * 256)) + 32 * 7 * 4,
                QuantisedMatrices.plannedBytes(Quantiser.Kind.NF4_DOUBLE, SEVEN));
        assertEquals(weights / 2 + weights / 16, QuantisedMatrices.plannedBytes(Quantiser.Kind.NF4, SEVEN));
    }

    /// What one row of 512 tokens takes on a card with adapters of rank 16 on every matrix, buffer by buffer, with
    /// CUDA's own context: under 6 GiB with --gradient-checkpointing, and 6.0 GiB without that context otherwise.
    @Test
    void sevenBillionWithRankSixteenTrainInSixGibibytesIfBlocksRunAgain() {
        AdapterConfig lora = new AdapterConfig(
                16,
                32,
                0,
                new AdapterConfig.Targets.AllLinear(),
                List.of(),
                false,
                false,
                Map.of(),
                Map.of(),
                LoraInit.TRUE);
        long adapters = ParameterLayout.of(lora.specs(SEVEN), List.of(), SEVEN).numel();
        assertEquals(39_976_960, adapters, "(in + out) x 16 of 224 matrices");
        long matrices = QuantisedMatrices.plannedBytes(Quantiser.Kind.NF4_DOUBLE, SEVEN);
        long dense = 2 * ParameterLayout.withoutProjections(SEVEN).numel(); // embedding, head, norms in bf16
        long unpacked = 2L * 2 * 11008 * 4096; // gate and up, bf16: the widest product
        long trained = (4 + 4 + 8 + 2) * adapters; // masters, gradients, moments, the bf16 copy that is computed with
        long context = 1L << 29;
        Device card = Scopes.keep(() -> new Device(DeviceType.CUDA, (byte) 0)); // named, not touched
        long fixed = matrices + dense + unpacked + trained + context;
        for (Recompute recompute : List.of(Recompute.FULL, Recompute.SELECTIVE)) {
            long buffers = LlamaEngine.plannedBytes(SEVEN, recompute.everywhere(SEVEN.nLayer()), Dtype.BF16, card, 512);
            double gib = (fixed + buffers) / (double) (1L << 30);
            assertEquals(recompute == Recompute.FULL ? 5.19 : 6.49, gib, 0.01, recompute.toString());
        }
    }
}
