package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.support.TensorAssert.assertBitEqual;
import static org.sftnative.support.TensorAssert.assertCloseToScale;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.config.LoraSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.io.ModelDirectory;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.support.Shared;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Adapters over the pretrained reference model against PEFT: `scripts/golden/adapters.py --reference` says how.
@Tag("reference")
class LoraReferenceTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden/reference/lora.json");

    @ParameterizedTest
    @CsvSource({"lora, true", "lora, false", "rslora, true", "rslora, false", "dora, true", "dora, false"})
    void logitsGradientsAndTwentyStepsEqualPeft(String name, boolean fused) {
        JsonNode all = new JsonMapper().readTree(GOLDEN.toFile());
        JsonNode golden = all.get("cases").get(name);
        LoraSettings settings = SettingsSchema.of(LoraSettings.class)
                .bind(Map.of(
                        "lora_r",
                        "8",
                        "lora_alpha",
                        "16",
                        "use_rslora",
                        "" + name.equals("rslora"),
                        "use_dora",
                        "" + name.equals("dora")));
        try (ModelDirectory directory = ModelDirectory.open(Shared.file("reference/base"));
                PointerScope _ = new PointerScope()) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            try (Parameters weights = LlamaFiles.load(directory, config, Dtype.F32, Devices.cpu());
                    Adapters adapters = Adapters.of(AdapterConfig.of(settings), config, Devices.cpu());
                    CausalLm model = fused
                            ? new LlamaEngine(config, FrozenBase.of(weights), adapters, new AtenOps(), Recompute.NONE)
                            : new Llama(config, FrozenBase.of(weights), adapters, Llama.Options.PLAIN)) {
                byFormula(adapters, FrozenBase.of(weights));
                Tensor before = weights.flatWeights().clone();
                PackedBatch batch = batch(all.get("documents"));
                logits(name, golden, model, batch);
                gradients(golden, model, adapters, batch);
                steps(golden, model, adapters, batch);
                assertBitEqual("the frozen model", before, weights.flatWeights());
            }
        }
    }

    private static void byFormula(Adapters adapters, FrozenBase base) {
        AdapterInit.fill(adapters, base, 1);
        try (NoGradGuard _ = new NoGradGuard()) {
            // PEFT makes magnitudes while B is zero, too
            List<String> sorted = List.copyOf(
                    new TreeSet<>(adapters.trained().layout().slots().keySet()));
            for (int i = 0; i < sorted.size(); i++) {
                Tensor t = adapters.trained().weight(sorted.get(i));
                boolean magnitude = sorted.get(i).endsWith("magnitude_vector");
                float[] values = new float[(int) t.numel()];
                for (int n = 0; n < values.length; n++) {
                    float wave = (float) Math.sin(n * 0.7 + i);
                    values[n] = magnitude ? 1 + 0.1f * wave : 0.02f * wave;
                }
                Tensor made = Tensors.ofFloats(values, Devices.cpu(), t.shape());
                t.copy_(magnitude ? t.mul(made) : made);
            }
        }
    }

    private static PackedBatch batch(JsonNode documents) {
        java.util.List<Integer> ids = new java.util.ArrayList<>();
        java.util.List<Integer> targets = new java.util.ArrayList<>();
        int[] cu = new int[documents.size() + 1];
        for (int d = 0; d < documents.size(); d++) {
            JsonNode document = documents.get(d);
            int n = document.get("ids").size();
            for (int t = 0; t < n; t++) {
                ids.add(document.get("ids").get(t).asInt());
                targets.add(t + 1 < n ? document.get("labels").get(t + 1).asInt() : -100);
            }
            cu[d + 1] = ids.size();
        }
        return PackedBatch.of(
                ids.stream().mapToInt(i -> i).toArray(),
                targets.stream().mapToInt(i -> i).toArray(),
                cu,
                Devices.cpu());
    }

    private static void logits(String name, JsonNode golden, CausalLm model, PackedBatch batch) {
        int[] cu = batch.cuSeqlens();
        for (int d = 0; d + 1 < cu.length; d++) {
            Tensor row = Tensors.ofLongs(new long[] {cu[d + 1] - 1}, Devices.cpu());
            JsonNode expected = golden.get("last_logits").get(d);
            float[] actual = Tensors.floats(model.logits(batch, row).narrow(1, 0, expected.size()));
            assertCloseToScale(name + ", document " + d, floats(expected), actual, 1e-5);
        }
    }

    /// Norm and first values of every gradient.
    private static void gradients(JsonNode golden, CausalLm model, Adapters adapters, PackedBatch batch) {
        model.startStep();
        model.accumulate(batch, new CrossEntropy(), 1.0 / batch.labelTokens());
        golden.get("gradients").properties().forEach(e -> {
            float[] expected = floats(e.getValue());
            float[] actual = Tensors.floats(adapters.trained().gradient(e.getKey()));
            double square = 0;
            for (float v : actual) {
                square += (double) v * v;
            }
            assertEquals(expected[0], Math.sqrt(square), 1e-4 * expected[0], e.getKey());
            for (int i = 0; i < 4; i++) {
                assertEquals(expected[i + 1], actual[i], 1e-4 * expected[0], e.getKey());
            }
        });
    }

    private static void steps(JsonNode golden, CausalLm model, Adapters adapters, PackedBatch batch) {
        Parameters trained = adapters.trained();
        AdamWState state = AdamWState.create(
                AdamWState.Masters.FP32,
                AdamWState.Moments.FP32,
                trained.layout().numel(),
                Devices.cpu());
        try (AdamWOptimizer optimizer = new AdamWOptimizer(
                new AtenOps(),
                trained.flatWeights(),
                trained.flatGradients(),
                new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, 0, 0, 0),
                state)) {
            for (JsonNode expected : golden.get("losses")) {
                model.startStep();
                double sum = model.accumulate(batch, new CrossEntropy(), 1.0 / batch.labelTokens())
                        .item_double();
                assertEquals(expected.asDouble(), sum / batch.labelTokens(), 1e-4);
                optimizer.step(1e-3, 1.0);
            }
        }
    }

    private static float[] floats(JsonNode array) {
        float[] values = new float[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).floatValue();
        }
        return values;
    }
}
