package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.io.Manifest;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Weights that no training can mend are refused by name before a step is made, in a model and in a checkpoint.
class FiniteWeightsTest {
    private static final String WEIGHT = "model.layers.1.mlp.up_proj.weight";

    @TempDir
    Path dir;

    /// The first value of a weight in a file becomes another; of float32, NaN, plus and minus infinity.
    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void aWeightOfTheModelThatIsNoNumberIsNamed(float value) throws IOException {
        Path model = Program.copyOfBase(dir);
        plant(model.resolve("model.safetensors"), value);
        Path out = dir.resolve("out");
        Outcome outcome = Program.train(model, out, Program.rows(dir, 0, 4), "--max-steps", "1");
        refused(outcome, model);
        assertFalse(Files.exists(out.resolve("model.safetensors")));
    }

    @Test
    void aWeightOfACheckpointThatIsNoNumberIsNamed() throws IOException {
        Path out = dir.resolve("out");
        Path rows = Program.rows(dir, 0, 4);
        Program.train(out, rows, "--max-steps", "2", "--save-steps", "1").succeeded();
        Path checkpoint = out.resolve("checkpoint-2");
        plant(checkpoint.resolve("model.safetensors"), Float.NaN);
        // as a run would have written it: the manifest tells of damage, not of what was saved whole
        Files.delete(checkpoint.resolve(Manifest.NAME));
        Manifest.write(checkpoint, Map.of("step", "2"));
        refused(Program.train(out, rows, "--max-steps", "2", "--resume"), checkpoint);
    }

    private static void refused(Outcome outcome, Path from) {
        assertEquals(2, outcome.status(), outcome.out());
        String says = ": '" + WEIGHT + "' has weights that are not finite\n";
        assertTrue(outcome.err().startsWith("error: " + from + says), outcome.err());
    }

    private static void plant(Path weights, float value) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(weights.toFile(), "rw")) {
            JsonNode tensor = header(file).path(WEIGHT);
            assertTrue(tensor.path("dtype").asString().matches("F32|BF16"), "" + tensor);
            long at = file.getFilePointer() + tensor.path("data_offsets").get(0).asLong();
            byte[] bytes = ByteBuffer.allocate(Float.BYTES)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putFloat(value)
                    .array();
            boolean half = tensor.path("dtype").asString().equals("BF16");
            file.seek(at);
            file.write(bytes, half ? 2 : 0, half ? 2 : 4);
        }
    }

    /// Leaves the file where the tensors begin.
    private static JsonNode header(RandomAccessFile file) throws IOException {
        byte[] header = new byte[Math.toIntExact(Long.reverseBytes(file.readLong()))];
        file.readFully(header);
        return JsonMapper.builder().build().readTree(header);
    }
}
