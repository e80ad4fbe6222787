package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.RunEvent;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.LossFunction;

/// A step whose loss is not a number updates nothing, is told, and ends the run only with two more right after it.
class NonFiniteStepsTest {
    @TempDir
    Path temp;

    private final List<RunEvent> events = new ArrayList<>();

    private int runs;

    @Test
    void badStepsThatAreNotThreeInARowAreSkipped() {
        RunState end = train(Set.of(2, 3, 5, 6));
        assertEquals(8, end.step());
        assertEquals(0, end.skipped());
        assertEquals(4, count(RunEvent.Warned.class));
    }

    @Test
    void theThirdInARowEndsTheRunAndIsInTheLog() {
        assertThrows(DivergedException.class, () -> train(Set.of(4, 5, 6)));
        RunEvent.StepDone last = events.stream()
                .filter(RunEvent.StepDone.class::isInstance)
                .map(RunEvent.StepDone.class::cast)
                .reduce((a, b) -> b)
                .orElseThrow();
        assertEquals(6, last.step());
        assertTrue(last.logged());
        assertTrue(Double.isNaN(last.loss()), "NaN is logged as it is");
        assertEquals(3, count(RunEvent.Warned.class));
    }

    @Test
    void aLossThatIsInfiniteWithAFiniteGradientUpdatesNothing() throws IOException {
        assertThrows(DivergedException.class, () -> train(infinite(Set.of(1, 2, 3))));
        assertEquals(3, count(RunEvent.Warned.class));
        train(infinite(Set.of(2, 5)));
        byte[] weights = Files.readAllBytes(temp.resolve("out-2/model.safetensors"));
        train(Set.of(2, 5));
        assertArrayEquals(weights, Files.readAllBytes(temp.resolve("out-3/model.safetensors")));
        train(Set.of());
        assertFalse(Arrays.equals(weights, Files.readAllBytes(temp.resolve("out-4/model.safetensors"))));
    }

    /// Infinite at some steps; its gradient is that of the plain loss.
    private static LossFunction infinite(Set<Integer> bad) {
        int[] step = {0};
        return (logits, targets) -> {
            Tensor sum = new CrossEntropy().sum(logits, targets);
            Tensor zero = logits.detach().sum().mul(new Scalar(0));
            return bad.contains(++step[0]) ? sum.add(zero.add(new Scalar(Double.POSITIVE_INFINITY))) : sum;
        };
    }

    private long count(Class<? extends RunEvent> kind) {
        return events.stream().filter(kind::isInstance).count();
    }

    /// Eight steps of one micro-batch each, some of them with NaN for a loss.
    private RunState train(Set<Integer> bad) {
        int[] step = {0};
        return train((logits, targets) -> {
            Tensor sum = new CrossEntropy().sum(logits, targets);
            return bad.contains(++step[0]) ? sum.mul(new Scalar(Double.NaN)) : sum;
        });
    }

    private RunState train(LossFunction loss) {
        RunSettings settings = SettingsSchema.of(RunSettings.class)
                .bind(Map.of(
                        "model_name_or_path", "src/test/resources/golden/base",
                        "train_file", "data/quickstart.jsonl",
                        "output_dir", temp.resolve("out-" + ++runs).toString(),
                        "max_steps", "8",
                        "per_device_train_batch_size", "2",
                        "gradient_accumulation_steps", "1",
                        "save_strategy", "no",
                        "logging_steps", "1",
                        "threads", "1"));
        return Training.run(settings, Recipe.STANDARD.withLoss(loss), List.of(events::add));
    }
}
