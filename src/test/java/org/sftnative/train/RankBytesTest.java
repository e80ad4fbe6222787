package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LlamaConfig;
import org.sftnative.optim.AdamWOptimizer;

/// The table of docs/SCALE.md, "What each rank holds".
class RankBytesTest {
    private static final int RANKS = 2;
    private static final Path BASE = Path.of("src/test/resources/golden/base");

    /// w 4 and g 4 bytes, s 8; in bf16 w 2, g 2, s 8 + 2.
    @ParameterizedTest
    @CsvSource({
        "none, fp32, 4, 8", "zero1, fp32, 4, 8", "zero2, fp32, 4, 8", "zero3, fp32, 4, 8",
        "none, bf16, 2, 10", "zero1, bf16, 2, 10", "zero2, bf16, 2, 10", "zero3, bf16, 2, 10"
    })
    void everyRankHoldsWhatTheTableSays(String sharding, String precision, double w, double s) throws Exception {
        RunSettings settings = settings(Map.of("precision", precision, "sharding", sharding));
        Shape shape = Shape.of(settings);
        double p = shape.weights;
        assertHeld(
                settings,
                switch (ShardingChoice.valueOf(sharding.toUpperCase())) {
                    case NONE -> p * (w + w + s);
                    case ZERO1 -> p * (w + w) + p * s / RANKS;
                    case ZERO2 -> p * w + p * (w + s) / RANKS + 4 * shape.working;
                    case ZERO3 -> p * (w + w + s) / RANKS + (4 + w) * shape.working;
                });
    }

    /// The frozen model's weights of w bytes; of each of the adapters' numbers 4, its gradient 4 and its moments 8.
    @ParameterizedTest
    @CsvSource({
        "none, fp32, 4", "zero1, fp32, 4", "zero2, fp32, 4", "zero3, fp32, 4",
        "none, bf16, 2", "zero1, bf16, 2", "zero2, bf16, 2", "zero3, bf16, 2"
    })
    void withAdaptersToo(String sharding, String precision, double w) throws Exception {
        int r = 16;
        RunSettings settings = settings(Map.of("precision", precision, "sharding", sharding, "lora_r", "" + r));
        Shape shape = Shape.of(settings);
        double p = shape.weights;
        double a = shape.perRank * r;
        assertHeld(
                settings,
                switch (ShardingChoice.valueOf(sharding.toUpperCase())) {
                    case NONE -> p * w + a * (4 + 4 + 8);
                    case ZERO1, ZERO2 -> p * w + a * (4 + 4) + a * 8 / RANKS;
                    case ZERO3 -> p * w / RANKS + w * shape.working + a * (4 + 4) + a * 8 / RANKS;
                });
    }

    /// @param weights of the model: P
    /// @param working of two blocks, the larger of embedding and head, and norms: W
    /// @param perRank of adapters of all blocks' matrices, of rank 1
    private record Shape(double weights, double working, double perRank) {
        static Shape of(RunSettings settings) {
            try (LoadedModel loaded = LoadedModel.open(settings.model())) {
                LlamaConfig c = loaded.config();
                double hidden = c.hiddenSize();
                double block = hidden * (2.0 * c.qSize() + 2.0 * c.kvSize() + 3.0 * c.intermediateSize());
                double table = c.vocabSize() * hidden;
                double norms = (2.0 * c.nLayer() + 1) * hidden;
                double ends = 7 * hidden + 2.0 * c.qSize() + 2.0 * c.kvSize() + 3.0 * c.intermediateSize();
                return new Shape(c.nLayer() * block + 2 * table + norms, 2 * block + table + norms, c.nLayer() * ends);
            }
        }
    }

    private static RunSettings settings(Map<String, String> some) {
        Map<String, String> all = new HashMap<>(
                Map.of("model_name_or_path", "" + BASE, "train_file", "data/quickstart.jsonl", "output_dir", "none"));
        all.putAll(some);
        return SettingsSchema.of(RunSettings.class).bind(all);
    }

    private static void assertHeld(RunSettings settings, double expected) throws Exception {
        for (long bytes : Worlds.run(RANKS, world -> held(settings, world))) {
            assertEquals(expected, bytes, 0.05 * expected);
        }
    }

    /// Bytes of what a run makes at its start and keeps, activations apart.
    private static long held(RunSettings settings, World world) {
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            ComputePlan compute = ComputePlan.of(settings, loaded, Trainee.adapters(settings, loaded), world.size());
            try (Trainee trainee = Trainee.of(settings, loaded, compute, Optional.empty(), world)) {
                compute.makeGradients(trainee, world);
                try (AdamWOptimizer optimizer = compute.optimizer(settings, trainee, world);
                        CausalLm model = compute.model(trainee)) {
                    return trainee.adapted()
                                    .map(a -> a.base().dense().weightBytes())
                                    .orElse(0L)
                            + model.parameters().weightBytes()
                            + model.parameters().gradientBytes()
                            + optimizer.state().values().stream()
                                    .mapToLong(Tensor::nbytes)
                                    .sum();
                }
            }
        }
    }
}
