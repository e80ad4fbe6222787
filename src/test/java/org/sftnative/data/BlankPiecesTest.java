package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

class BlankPiecesTest {
    private static final List<String> BITS = List.of(
            " ", "  ", "   ", "\u2581", "\u2581 ", " \u2581", "\n", "\t", "the", "rain", "r", "天空", "🙂", "é",
            "e\u0301", "</s>", "<s>", "<unk>", "\u00a0", "\u3000", "don't", "1234", ".", ",", "\r\n", "\u0000",
            "<0x0A>", "lo", "w");

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"metaspace", "metaspace-normalizer", "metaspace-legacy", "metaspace-fast", "with-eos"})
    void piecesHaveTheIdsOfTheWholeText(String kind) throws IOException {
        same(Fixtures.TOKENIZERS.resolve(kind), kind.startsWith("metaspace") && !kind.endsWith("-fast"));
    }

    @Tag("reference")
    @Test
    void llama2SplitsAtBlanksAndRealRowsHaveTheSameIds() throws IOException {
        Path shared = Path.of(System.getenv().getOrDefault("SFT_SHARED", "../shared"));
        Path model = shared.resolve("reference/llama2-tokenizer");
        same(model, true);
        Tokenizer tokenizer = Tokenizer.load(model);
        for (String name : List.of("alpaca_en_demo.json", "alpaca_zh_demo.json")) {
            for (JsonNode row :
                    Json.ROWS.readTree(Files.readString(shared.resolve("data").resolve(name)))) {
                String text = row.path("output").stringValue();
                assertArrayEquals(tokenizer.encodePlain(text), tokenizer.encodeRow(text, false, false), text);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"bytelevel", "qwen", "metaspace", "metaspace-fast"})
    void nulAndWhatIsBeyond16BitsSurvive(String kind) {
        Tokenizer tokenizer = Fixtures.tokenizer(kind);
        String text = "a\u0000b 🙂\u0000 天";
        assertEquals(text, tokenizer.decode(tokenizer.encodeRow(text, false, false), false));
    }

    @Test
    void aMergeOverABlankIsSeen() throws IOException {
        Path edited = Fixtures.edited(directory, "metaspace", "tokenizer.json", json -> {
            ArrayNode merges = (ArrayNode) json.path("model").path("merges");
            ((tools.jackson.databind.node.ObjectNode) json.path("model").path("vocab")).put("a\u2581", 99999);
            merges.addArray().add("a").add("\u2581");
        });
        assertFalse(new TokenizerJson(edited.resolve("tokenizer.json")).splitsAtBlanks());
        Files.delete(edited.resolve("tokenizer.json"));
        Files.delete(edited.resolve("tokenizer_config.json"));
        Fixtures.edited(
                directory,
                "metaspace",
                "tokenizer.json",
                json -> json.putObject("normalizer").put("type", "NFC"));
        assertFalse(new TokenizerJson(edited.resolve("tokenizer.json")).splitsAtBlanks());
    }

    private static void same(Path model, boolean expected) throws IOException {
        TokenizerJson json = new TokenizerJson(model.resolve("tokenizer.json"));
        JsonNode config = Json.object(model.resolve("tokenizer_config.json"));
        if (config.path("tokenizer_class").asString("").startsWith("LlamaTokenizer")) {
            json.rebuildAsLlama(config.path("legacy").asBoolean(false));
        }
        assertEquals(expected, json.splitsAtBlanks());
        if (!expected) {
            return;
        }
        NativeTokenizer whole = new NativeTokenizer(json.whole(), "whole");
        BlankPieces pieces = new BlankPieces(whole);
        Random random = new Random(11);
        int several = 0;
        for (int i = 0; i < 4000; i++) {
            StringBuilder text = new StringBuilder();
            for (int n = random.nextInt(14); n > 0; n--) {
                text.append(BITS.get(random.nextInt(BITS.size())));
            }
            int[] ids = whole.ids(text.toString(), false);
            several += ids.length > 4 ? 1 : 0;
            assertArrayEquals(ids, pieces.ids(text.toString()), () -> "'" + text + "'");
        }
        assertTrue(several > 1000);
    }
}
