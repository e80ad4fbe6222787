package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
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
    private static final Path BASE = Path.of("src/test/resources/golden/base");

    /// w 4 and g 4 bytes, s 8; in bf16 w 2, g 2, s 8 + 2.
    @ParameterizedTest
    @CsvSource({
        "none, fp32, 4, 8", "zero1, fp32, 4, 8", "zero2, fp32, 4, 8", "zero3, fp32, 4, 8",
        "none, bf16, 2, 10", "zero1, bf16, 2, 10", "zero2, bf16, 2, 10", "zero3, bf16, 2, 10"
    })
    void everyRankHoldsWhatTheTableSays(String sharding, String precision, double w, double s) throws Exception {
        int ranks = 2;
        RunSettings settings = SettingsSchema.of(RunSettings.class)
                .bind(Map.of(
                        "model_name_or_path",
                        "" + BASE,
                        "train_file",
                        "data/quickstart.jsonl",
                        "output_dir",
                        "none",
                        "precision",
                        precision,
                        "sharding",
                        sharding));
        List<Long> held = Worlds.run(ranks, world -> held(settings, world));
        double p;
        double working;
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            LlamaConfig c = loaded.config();
            double block = c.hiddenSize() * (2.0 * c.qSize() + 2.0 * c.kvSize() + 3.0 * c.intermediateSize());
            double table = (double) c.vocabSize() * c.hiddenSize();
            double norms = (2.0 * c.nLayer() + 1) * c.hiddenSize();
            p = c.nLayer() * block + 2 * table + norms;
            working = 2 * block + table + norms;
        }
        double expected = switch (ShardingChoice.valueOf(sharding.toUpperCase())) {
            case NONE -> p * (w + w + s);
            case ZERO1 -> p * (w + w) + p * s / ranks;
            case ZERO2 -> p * w + p * (w + s) / ranks + 4 * working;
            case ZERO3 -> p * (w + w + s) / ranks + (4 + w) * working;
        };
        for (long bytes : held) {
            assertEquals(expected, bytes, 0.05 * expected);
        }
    }

    /// Bytes of what a run makes at its start and keeps, activations apart.
    private static long held(RunSettings settings, World world) {
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            ComputePlan compute = ComputePlan.of(settings, loaded, Optional.empty(), world.size());
            try (Trainee trainee = Trainee.of(settings, loaded, compute, Optional.empty(), world)) {
                compute.makeGradients(settings, trainee, world);
                try (AdamWOptimizer optimizer = compute.optimizer(settings, trainee, world);
                        CausalLm model = compute.model(trainee)) {
                    return model.parameters().weightBytes()
                            + model.parameters().gradientBytes()
                            + optimizer.state().values().stream()
                                    .mapToLong(Tensor::nbytes)
                                    .sum();
                }
            }
        }
    }
}
