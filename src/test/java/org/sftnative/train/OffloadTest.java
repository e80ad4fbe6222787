package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.RunEvent;

/// The setting `recompute offload`, from a run's plan to its weights.
class OffloadTest {
    @TempDir
    Path temp;

    /// The base model has 3 blocks of 96 channels: one input waits, of 600 tokens in fp32.
    @Test
    void aRunThatOffloadsTrainsTheSameWeightsAndSaysWhereInputsWait() throws IOException {
        Map<String, String> full = run("full");
        Map<String, String> offload = run("offload");
        assertEquals("offload", offload.get("recompute"));
        assertTrue(
                offload.get("memory").endsWith(", inputs of blocks in 225.0 KiB of host memory"),
                offload.get("memory"));
        assertTrue(full.get("memory").endsWith(" for 600 tokens"), full.get("memory"));
        assertArrayEquals(weights("full"), weights("offload"));
    }

    @Test
    void theReferenceEngineSaysThatItDoesNotOffload() {
        InputException e = assertThrows(InputException.class, () -> run("offload", "engine", "reference"));
        assertEquals(
                "recompute 'offload' is of the fused engine; here the engine is the reference"
                        + "\n  use --gradient-checkpointing",
                e.getMessage());
    }

    private Map<String, String> run(String recompute, String... more) {
        Map<String, String> settings = new HashMap<>(Map.of(
                "model_name_or_path", "src/test/resources/golden/base",
                "train_file", "data/quickstart.jsonl",
                "output_dir", temp.resolve(recompute).toString(),
                "max_steps", "3",
                "recompute", recompute,
                "micro_batch_tokens", "600",
                "eval_fraction", "0.1",
                "eval_steps", "1",
                "threads", "1"));
        for (int i = 0; i < more.length; i += 2) {
            settings.put(more[i], more[i + 1]);
        }
        List<RunEvent> events = new ArrayList<>();
        Training.run(SettingsSchema.of(RunSettings.class).bind(settings), Recipe.STANDARD, List.of(events::add));
        return events.stream()
                .filter(RunEvent.Started.class::isInstance)
                .map(event -> ((RunEvent.Started) event).summary())
                .findFirst()
                .orElseThrow();
    }

    private byte[] weights(String run) throws IOException {
        return Files.readAllBytes(temp.resolve(run).resolve("model.safetensors"));
    }
}
