package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.model.CrossEntropy;
import org.sftnative.optim.Schedule;

/// A spike halves the learning rate from its own step on: that run is the one whose schedule says so.
class ReducedRateTest {
    private static final int SPIKE = 5; // from 1
    private static final double RATE = 1e-3;

    @TempDir
    Path temp;

    @Test
    void theStepOfTheSpikeIsTheFirstAtHalfTheRate() throws IOException {
        byte[] reduced = train("reduce-lr", step -> RATE);
        assertArrayEquals(train("warn", step -> step < SPIKE - 1 ? RATE : RATE / 2), reduced);
        assertFalse(Arrays.equals(train("warn", step -> step < SPIKE ? RATE : RATE / 2), reduced));
    }

    private byte[] train(String onSpike, Schedule rates) throws IOException {
        int[] step = {0};
        Recipe recipe = Recipe.STANDARD
                .withLoss((logits, targets) -> {
                    Tensor sum = new CrossEntropy().sum(logits, targets);
                    return ++step[0] == SPIKE ? sum.mul(new Scalar(50.0)) : sum;
                })
                .withRates((_, _) -> rates);
        Path out = Files.createTempDirectory(temp, onSpike);
        RunSettings settings = SettingsSchema.of(RunSettings.class)
                .bind(Map.of(
                        "model_name_or_path", "src/test/resources/golden/base",
                        "train_file", "data/quickstart.jsonl",
                        "output_dir", out.resolve("out").toString(),
                        "max_steps", "8",
                        "per_device_train_batch_size", "2",
                        "gradient_accumulation_steps", "1",
                        "on_spike", onSpike,
                        "spike_window", "4",
                        "spike_loss_ratio", "10",
                        "save_strategy", "no"));
        Training.run(settings, recipe, List.of());
        return Files.readAllBytes(out.resolve("out/model.safetensors"));
    }
}
