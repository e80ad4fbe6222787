package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.LoraInit;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.World;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.optim.RateGroup;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// PiSSA's beginning and 20 steps against PEFT (`scripts/golden/adapters.py`). Singular vectors have no sign: norms of
/// A
/// and B are compared, and what is left of the base element by element.
class PissaGoldenTest {
    private static final JsonNode GOLDEN = new JsonMapper()
            .readTree(Path.of("src/test/resources/golden/pissa.json").toFile());
    private static final AdapterConfig CONFIG = new AdapterConfig(
            4,
            6,
            0,
            new AdapterConfig.Targets.AllLinear(),
            List.of(),
            false,
            false,
            Map.of("down_proj", 2),
            Map.of("v_proj", 5.0),
            LoraInit.PISSA);

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void beginningAndTwentyStepsEqualPeft(boolean fused) {
        try (PointerScope _ = new PointerScope();
                GoldenModel model = GoldenModel.load(GOLDEN.get("model").asString());
                Adapters adapters = Adapters.of(CONFIG, model.config(), Devices.cpu());
                Adapters began = Adapters.of(CONFIG, model.config(), Devices.cpu())) {
            FrozenBase base = FrozenBase.of(model.parameters());
            AdapterInit.fill(adapters, base, 1);
            AdapterInit.fill(began, base, 1);
            Pissa.takeOut(began, base);
            beginningEquals(adapters, base);
            try (CausalLm engine = fused
                    ? new LlamaEngine(model.config(), base, adapters, new AtenOps(), Recompute.SELECTIVE)
                    : new Llama(model.config(), base, adapters, new Llama.Options(false, false))) {
                stepsEqual(engine, model.pack(), adapters.trained());
            }
        }
    }

    private static void beginningEquals(Adapters adapters, FrozenBase base) {
        for (AdapterSpec spec : adapters.specs()) {
            String name = AdapterSpec.PREFIX + spec.module();
            JsonNode expected = GOLDEN.get("began").get(name + ".base_layer.weight");
            Tensor rest = base.weight(spec.weight());
            assertEquals(expected.get(0).asDouble(), norm(rest), 1e-5 * norm(rest), name);
            float[] values = Tensors.floats(rest.flatten().narrow(0, 0, 4));
            for (int i = 0; i < 4; i++) {
                assertEquals(expected.get(i + 1).asDouble(), values[i], 1e-5, name);
            }
            for (Tensor half : List.of(adapters.a(spec), adapters.b(spec))) {
                boolean a = half.equal(adapters.a(spec));
                double of = GOLDEN.get("began").get(a ? spec.a() : spec.b()).asDouble();
                assertEquals(of, norm(half), 1e-5 * of, name);
            }
        }
    }

    private static double norm(Tensor tensor) {
        return tensor.to(ScalarType.Double).norm().item_double();
    }

    private static void stepsEqual(CausalLm model, PackedBatch batch, Parameters trained) {
        trained.enableGradients();
        long n = trained.layout().numel();
        AdamWState state = AdamWState.create(AdamWState.Masters.FP32, AdamWState.Moments.FP32, n, Devices.cpu());
        try (AdamWOptimizer optimizer = new AdamWOptimizer(
                new AtenOps(),
                trained.flatWeights(),
                trained.flatGradients(),
                new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, 0, 0, 0),
                state,
                RateGroup.all(n),
                ShardingChoice.NONE,
                World.ALONE)) {
            for (JsonNode expected : GOLDEN.get("losses")) {
                model.startStep();
                double sum = model.accumulate(batch, new CrossEntropy(), 1.0 / batch.labelTokens())
                        .item_double();
                assertEquals(expected.asDouble(), sum / batch.labelTokens(), 1e-4 * expected.asDouble());
                optimizer.step(GOLDEN.get("learning_rate").asDouble(), 1.0);
            }
        }
    }
}
