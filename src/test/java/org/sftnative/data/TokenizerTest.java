package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.edited;
import static org.sftnative.data.Fixtures.golden;
import static org.sftnative.data.Fixtures.ints;
import static org.sftnative.data.Fixtures.refused;
import static org.sftnative.data.Fixtures.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Goldens: scripts/golden/row_ids.py.
class TokenizerTest {
    private static final List<String> KINDS = Fixtures.KINDS;

    @TempDir
    Path directory;

    @ParameterizedTest
    @FieldSource("KINDS")
    void idsAndTextAreTransformers(String kind) {
        Tokenizer tokenizer = tokenizer(kind);
        int texts = 0;
        for (JsonNode golden : golden(kind).path("texts")) {
            String text = golden.path("text").stringValue();
            int[] ids = ints(golden.path("ids"));
            assertArrayEquals(ids, tokenizer.encode(text), text);
            assertArrayEquals(ints(golden.path("plain")), tokenizer.encodePlain(text), text);
            assertEquals(golden.path("decoded").stringValue(), tokenizer.decode(ids, false));
            assertEquals(golden.path("decoded_skipping").stringValue(), tokenizer.decode(ids, true));
            texts++;
        }
        assertEquals(16, texts);
    }

    @ParameterizedTest
    @FieldSource("KINDS")
    void specialTokensAndVocabularyAreTransformers(String kind) {
        Tokenizer tokenizer = tokenizer(kind);
        JsonNode special = golden(kind).path("special");
        assertEquals(special.path("bos").asInt(-1), tokenizer.bosId().orElse(-1));
        assertEquals(special.path("eos").asInt(-1), tokenizer.eosId().orElse(-1));
        assertEquals(special.path("pad").asInt(-1), tokenizer.padId().orElse(-1));
        assertEquals(special.path("vocabulary").asInt(), tokenizer.vocabSize());
    }

    @ParameterizedTest
    @FieldSource("KINDS")
    void rowTextGivesTransformersIdsUnlessItHoldsASpecialToken(String kind) {
        Tokenizer tokenizer = tokenizer(kind);
        for (JsonNode golden : golden(kind).path("texts")) {
            String text = golden.path("text").stringValue();
            if (!text.contains("<s>")) {
                assertArrayEquals(ints(golden.path("ids")), tokenizer.encodeRow(text, true, true), text);
                assertArrayEquals(ints(golden.path("plain")), tokenizer.encodeRow(text, false, false), text);
            }
        }
    }

    @ParameterizedTest
    @FieldSource("KINDS")
    void specialTokenTextInARowStaysText(String kind) {
        Tokenizer tokenizer = tokenizer(kind);
        JsonNode added = Json.object(Fixtures.TOKENIZERS.resolve(kind).resolve("tokenizer.json"))
                .path("added_tokens");
        int[] special = added.valueStream()
                .filter(t -> t.path("special").asBoolean())
                .mapToInt(t -> t.path("id").asInt())
                .toArray();
        assertTrue(special.length >= 3);
        for (JsonNode token : added) {
            String text = "say " + token.path("content").stringValue() + " twice";
            int[] ids = tokenizer.encodeRow(text, false, false);
            assertTrue(Arrays.stream(ids).noneMatch(id -> Arrays.stream(special).anyMatch(s -> s == id)), text);
            assertEquals(text, tokenizer.decode(ids, true));
        }
    }

    @Test
    void anAddedTokenThatIsNotSpecialStaysAToken() {
        Tokenizer tokenizer = tokenizer("qwen");
        int[] ids = tokenizer.encodeRow("<tool_call><|im_end|></tool_call>", false, false);
        assertEquals(403, ids[0]);
        assertEquals(404, ids[ids.length - 1]);
        assertTrue(ids.length > 3, "the special token is written out");
    }

    @Test
    void anAddedTokenKeepsItsIdBesideSpecialTokensOfTheVocabulary() throws IOException {
        Tokenizer tokenizer = Tokenizer.load(edited(directory, "bytelevel", "tokenizer.json", json -> {
            ObjectNode added = ((ArrayNode) json.path("added_tokens")).addObject();
            added.put("id", 420).put("content", "<extra>").put("special", false);
            for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
                added.put(flag, false);
            }
        }));
        int[] ids = tokenizer.encodeRow("</s><extra>", false, false);
        assertEquals(420, ids[ids.length - 1]);
        assertTrue(ids.length > 2);
    }

    @ParameterizedTest
    @FieldSource("KINDS")
    void aRowHasTheBosOfItsTokenizerOnce(String kind) {
        Tokenizer tokenizer = tokenizer(kind);
        int expected = kind.equals("qwen") || kind.equals("no-post-processor") ? 0 : 1;
        int bos = tokenizer.bosId().orElse(-1);
        for (String text : List.of("a", "<s>a", "<s>", "")) {
            int[] ids = tokenizer.encodeRow(text, true, false);
            assertEquals(expected, Arrays.stream(ids).filter(id -> id == bos).count(), text);
            assertTrue(expected == 0 || ids[0] == bos);
        }
    }

    @Test
    void aRowOfTwoThousandTokensStaysWhole() throws IOException {
        Tokenizer tokenizer = Tokenizer.load(edited(directory, "bytelevel", "tokenizer.json", json -> {
            json.putObject("truncation")
                    .put("direction", "Right")
                    .put("max_length", 16)
                    .put("strategy", "LongestFirst")
                    .put("stride", 0);
            json.putObject("padding")
                    .put("direction", "Right")
                    .put("pad_id", 0)
                    .put("pad_type_id", 0)
                    .put("pad_token", "<unk>")
                    .putNull("pad_to_multiple_of")
                    .putObject("strategy")
                    .put("Fixed", 5000);
        }));
        String text = "z!".repeat(1000);
        assertEquals(2001, tokenizer.encode(text).length);
        assertEquals(2000, tokenizer.encodeRow(text, false, true).length);
        assertEquals(2, tokenizer.encode("z").length, "not padded");
    }

    @Test
    void manyThreadsGetTheSameIds() {
        Tokenizer tokenizer = tokenizer("bytelevel");
        List<String> texts = IntStream.range(0, 2000)
                .mapToObj(i -> "row " + i + " of the river 天空 </s>")
                .toList();
        List<int[]> together = texts.parallelStream()
                .map(t -> tokenizer.encodeRow(t, true, false))
                .toList();
        for (int i = 0; i < texts.size(); i++) {
            assertArrayEquals(tokenizer.encodeRow(texts.get(i), true, false), together.get(i));
        }
    }

    @Test
    void specialTokensAreFoundWhereverTheDirectoryNamesThem() throws IOException {
        Path model = edited(directory, "bytelevel", "tokenizer_config.json", json -> {
            json.remove("eos_token");
            json.remove("bos_token");
        });
        assertEquals(OptionalInt.empty(), Tokenizer.load(model).eosId());
        Files.writeString(
                model.resolve("config.json"), "{\"model_type\":\"llama\",\"eos_token_id\":[3,2],\"bos_token_id\":1}");
        assertEquals(OptionalInt.of(3), Tokenizer.load(model).eosId());
        Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\":2}");
        assertEquals(OptionalInt.of(2), Tokenizer.load(model).eosId());
        Files.writeString(model.resolve("special_tokens_map.json"), "{\"eos_token\":{\"content\":\"<|im_end|>\"}}");
        assertEquals(OptionalInt.of(3), Tokenizer.load(model).eosId());
        assertEquals(OptionalInt.of(1), Tokenizer.load(model).bosId());
    }

    @Test
    void aTemplateThatUsesAnAbsentTokenIsRefusedBeforeItPanics() throws IOException {
        Path model = edited(directory, "bytelevel", "tokenizer.json", json -> {
            ObjectNode piece =
                    (ObjectNode) json.path("post_processor").path("single").get(0);
            ((ObjectNode) piece.path("SpecialToken")).put("id", "<begin>");
        });
        refused(() -> Tokenizer.load(model), "tokenizer.json", "'<begin>'", "do not describe");
    }

    @Test
    void aTemplateInsideASequenceIsCheckedToo() throws IOException {
        Path model = edited(directory, "bytelevel", "tokenizer.json", json -> {
            ObjectNode template = (ObjectNode) json.path("post_processor");
            template.putObject("special_tokens");
            ObjectNode sequence = json.putObject("post_processor").put("type", "Sequence");
            sequence.putArray("processors").add(template);
        });
        refused(() -> Tokenizer.load(model), "'<s>'", "do not describe");
    }

    @Test
    void aTemplateWithAnIdThatNoTokenHasIsRefused() throws IOException {
        Path model = edited(directory, "bytelevel", "tokenizer.json", json -> {
            ObjectNode bos = (ObjectNode)
                    json.path("post_processor").path("special_tokens").path("<s>");
            bos.putArray("ids").add(9999);
        });
        refused(() -> Tokenizer.load(model), "'<s>'", "9999");
    }

    @Test
    void anAddedTokenWithAnotherIdThanItsPlaceGivesIsRefused() throws IOException {
        Path model = edited(directory, "qwen", "tokenizer.json", json -> {
            ArrayNode added = (ArrayNode) json.path("added_tokens");
            ((ObjectNode) added.get(0)).put("id", 500);
        });
        refused(() -> Tokenizer.load(model), "'<|endoftext|>'", "500", "400");
    }

    @Test
    void brokenTokenizersAreRefusedByName() throws IOException {
        refused(() -> Tokenizer.load(directory), "has no tokenizer.json");
        Path file = directory.resolve("tokenizer.json");
        for (var broken : List.of(
                List.of("", "holds nothing"),
                List.of("{\"model\":", "not valid JSON"),
                List.of("[]", "an array"),
                List.of("{}", "no object 'model'"),
                List.of("{\"model\":{}}", "no 'vocab'"),
                List.of("{\"model\":{\"vocab\":{}}}", "an empty 'vocab'"),
                List.of("{\"model\":{\"vocab\":{\"a\":-1}}}", "the id -1"),
                List.of("{\"model\":{\"vocab\":{\"a\":0,\"a\":1}}}", "Duplicate"),
                List.of("{\"model\":{\"vocab\":{\"a\":0}},\"added_tokens\":[{\"id\":1}]}", "without 'content'"),
                List.of("{\"version\":\"1.0\",\"model\":{\"type\":\"Nope\",\"vocab\":{\"a\":0}}}", "refused by"))) {
            Files.writeString(file, broken.getFirst());
            refused(() -> Tokenizer.load(directory), "tokenizer.json", broken.getLast());
        }
        Files.write(file, new byte[] {'{', '"', (byte) 0xff, '"', '}'});
        refused(() -> Tokenizer.load(directory), "tokenizer.json", "not UTF-8");
    }
}
