package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.tune.TimeAttribute;
import org.sftnative.tune.study.MetricsFollower.Measurement;

class MetricsFollowerTest {
    @TempDir
    Path dir;

    @Test
    void linesAreReadOnceAndOnlyWhenTheyAreWhole() throws Exception {
        Path file = dir.resolve("metrics.jsonl");
        MetricsFollower follower = new MetricsFollower(file, "eval_loss", TimeAttribute.EPOCH);
        assertEquals(List.of(), follower.poll());
        append(
                file,
                "{\"step\":1,\"epoch\":0.5,\"loss\":2.0}\n{\"step\":2,\"epoch\":1.0,\"eval_loss\":1.5}\n{\"step\":4,\"epo");
        assertEquals(List.of(new Measurement(2, 1.0, 1.5)), follower.poll());
        assertEquals(List.of(), follower.poll());
        append(file, "ch\":2.0,\"eval_loss\":NaN}\n");
        assertEquals(List.of(new Measurement(4, 2.0, Double.NaN)), follower.poll());
        assertEquals(List.of("epoch", "eval_loss", "loss", "step"), List.copyOf(follower.names()));
    }

    @Test
    void aFileThatARunReplacedIsReadFromItsStart() throws Exception {
        Path file = dir.resolve("metrics.jsonl");
        append(file, "{\"step\":2,\"epoch\":1.0,\"eval_loss\":1.5}\n{\"step\":4,\"epoch\":2.0,\"eval_loss\":1.4}\n");
        MetricsFollower follower = new MetricsFollower(file, "eval_loss", TimeAttribute.STEP);
        assertEquals(2, follower.poll().size());
        Path beside = dir.resolve("new");
        append(beside, "{\"step\":2,\"epoch\":1.0,\"eval_loss\":1.5}\n{\"step\":4,\"epoch\":2.0,\"eval_loss\":1.25}\n");
        Files.move(beside, file, StandardCopyOption.REPLACE_EXISTING);
        assertEquals(List.of(new Measurement(2, 2, 1.5), new Measurement(4, 4, 1.25)), follower.poll());
    }

    @Test
    void ageInTokensIsTheSumOfWhatLoggedStepsTrained() throws Exception {
        Path file = dir.resolve("metrics.jsonl");
        append(
                file,
                "{\"step\":1,\"epoch\":0.5,\"loss\":2,\"trained_tokens\":100}\n{\"step\":2,\"epoch\":1,\"loss\":2,\"trained_tokens\":50}\n"
                        + "{\"step\":2,\"epoch\":1,\"eval_loss\":3}\n");
        assertEquals(
                List.of(new Measurement(2, 150, 3)),
                new MetricsFollower(file, "eval_loss", TimeAttribute.TOKENS).poll());
    }

    private static void append(Path file, String text) throws Exception {
        Files.writeString(file, text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
}
