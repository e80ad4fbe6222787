package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.RowSettings;
import org.sftnative.config.TrainOn;
import tools.jackson.databind.JsonNode;

/// Every row of the reference data, id for id as the reference program encodes it. Goldens: scripts/golden/row_ids.py.
@Tag("reference")
class ReferenceRowsTest {
    private static final Path SHARED =
            Path.of(Optional.ofNullable(System.getenv("SFT_SHARED")).orElse("../shared"));

    @Test
    void everyRowIsTheReferencePrograms() {
        assertTrue(Files.isDirectory(SHARED), SHARED + " is missing: set SFT_SHARED");
        JsonNode golden = Json.object(Fixtures.TOKENIZERS.resolve("reference.json"));
        int compared = 0;
        for (String kind : List.of("base", "llama2-tokenizer")) {
            Tokenizer tokenizer = Tokenizer.load(SHARED.resolve("reference").resolve(kind));
            for (String file : List.of("alpaca_en_demo.json", "alpaca_zh_demo.json")) {
                for (String mode : List.of("completion", "full")) {
                    boolean full = mode.equals("full");
                    var settings = DataSettings.of(SHARED.resolve("data").resolve(file));
                    var encoding = new EncodingSettings(
                            512, OverlongChoice.TRUNCATE, Optional.empty(), TrainOn.ASSISTANT, full, !full);
                    Dataset dataset = TrainingData.load(settings, RowSettings.DEFAULT, encoding, tokenizer)
                            .train();
                    JsonNode expected = golden.path(kind + " " + file + " " + mode);
                    assertEquals(
                            expected.path("rows").intValue(), dataset.report().rows());
                    assertEquals(
                            Arrays.stream(Fixtures.ints(expected.path("dropped")))
                                    .boxed()
                                    .toList(),
                            dataset.report().dropped().stream()
                                    .map(Dataset.Dropped::row)
                                    .toList());
                    for (Document document : dataset.documents()) {
                        assertEquals(
                                expected.path("crc32").path(document.row() - 1).longValue(),
                                crc32(document),
                                () -> kind + ", " + file + ", " + mode + ", row " + document.row());
                        compared++;
                    }
                }
            }
        }
        assertTrue(compared > 7900, compared + " rows");
    }

    private static long crc32(Document document) {
        ByteBuffer bytes = ByteBuffer.allocate(8 * document.length()).order(ByteOrder.LITTLE_ENDIAN);
        for (int id : document.inputIds()) {
            bytes.putInt(id);
        }
        for (int label : document.labels()) {
            bytes.putInt(label);
        }
        CRC32 crc = new CRC32();
        crc.update(bytes.flip());
        return crc.getValue();
    }
}
