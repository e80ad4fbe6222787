package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.edited;
import static org.sftnative.data.Fixtures.example;
import static org.sftnative.data.Fixtures.golden;
import static org.sftnative.data.Fixtures.ints;
import static org.sftnative.data.Fixtures.refused;
import static org.sftnative.data.Fixtures.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import tools.jackson.databind.JsonNode;

class EncoderTest {
    private static final List<String> KINDS = Fixtures.KINDS.stream()
            .filter(kind -> !kind.equals("with-eos")) // has a test of its own
            .toList();

    @TempDir
    Path directory;

    @ParameterizedTest
    @FieldSource("KINDS")
    void documentsAreTheReferencePrograms(String kind) {
        JsonNode golden = golden(kind);
        int maxLength = golden.path("max_length").intValue();
        Encoder completion = new Encoder(tokenizer(kind), maxLength, false, true);
        Encoder full = new Encoder(tokenizer(kind), maxLength, true, false);
        int dropped = 0;
        int cut = 0;
        for (JsonNode row : golden.path("rows")) {
            Example.Completion example = example(row.path("row"));
            var encoded = completion.encode(7, example);
            cut += encoded.truncated() ? 1 : 0;
            if (Arrays.stream(ints(row.path("completion").path("labels"))).allMatch(l -> l == Document.IGNORED)) {
                assertTrue(encoded.document().isEmpty());
                dropped++;
            } else {
                same(row.path("completion"), encoded.document().orElseThrow());
            }
            same(row.path("full"), full.encode(7, example).document().orElseThrow());
        }
        assertTrue(dropped >= 1 && cut > dropped, "the golden rows hold each case: " + dropped + ", " + cut);
    }

    private static void same(JsonNode golden, Document document) {
        assertEquals(7, document.row());
        assertArrayEquals(ints(golden.path("ids")), document.inputIds());
        assertArrayEquals(ints(golden.path("labels")), document.labels());
    }

    @Test
    void eosIsTrainedUpToExactlyTheMaximumLength() {
        Tokenizer tokenizer = tokenizer("bytelevel");
        int eos = tokenizer.eosId().getAsInt();
        Example.Completion example = new Example.Completion("Q: ", "the rain");
        int whole = length(tokenizer, example, 512);
        for (int maxLength : new int[] {whole + 1, whole}) {
            var encoded = new Encoder(tokenizer, maxLength, false, true).encode(1, example);
            Document document = encoded.document().orElseThrow();
            assertFalse(encoded.truncated());
            assertEquals(whole, document.length());
            assertEquals(eos, document.labels()[whole - 1]);
            assertEquals(eos, document.inputIds()[whole - 1]);
        }
        var cut = new Encoder(tokenizer, whole - 1, false, true).encode(1, example);
        assertTrue(cut.truncated());
        assertEquals(whole - 1, cut.document().orElseThrow().length());
        assertTrue(Arrays.stream(cut.document().orElseThrow().inputIds()).noneMatch(id -> id == eos));
    }

    @Test
    void theLabelsDecodedAreTheResponseAndItsEnd() {
        for (String kind : List.of("bytelevel", "qwen")) {
            Tokenizer tokenizer = tokenizer(kind);
            String response = "天空🙂 is </s> <|im_end|> blue";
            Document document = new Encoder(tokenizer, 512, false, true)
                    .encode(1, new Example.Completion("The sky", response))
                    .document()
                    .orElseThrow();
            int[] trained = Arrays.stream(document.labels())
                    .filter(l -> l != Document.IGNORED)
                    .toArray();
            assertEquals(response, tokenizer.decode(Arrays.copyOf(trained, trained.length - 1), false));
            assertEquals(tokenizer.eosId().getAsInt(), trained[trained.length - 1]);
        }
    }

    @Test
    void promptAndResponseDoNotMergeAcrossTheirBoundary() {
        Tokenizer tokenizer = tokenizer("bytelevel");
        Example.Completion example = new Example.Completion("the r", "ain");
        Document apart = new Encoder(tokenizer, 64, false, true)
                .encode(1, example)
                .document()
                .orElseThrow();
        Document whole = new Encoder(tokenizer, 64, true, true)
                .encode(1, example)
                .document()
                .orElseThrow();
        assertNotEquals(whole.length(), apart.length(), "this boundary is one that BPE merges across");
        assertEquals(tokenizer.encodeRow("the r", true, false).length, firstLabel(apart));
        assertEquals(1, firstLabel(whole));
    }

    @Test
    void labelsDoNotDependOnWhichTokenPads() throws IOException {
        Example.Completion example = new Example.Completion("Name <unk> and </s>: ", "red <unk> </s> green");
        Document expected = new Encoder(tokenizer("bytelevel"), 64, false, true)
                .encode(1, example)
                .document()
                .orElseThrow();
        for (String pad : List.of("</s>", "<unk>", "<s>", "a")) {
            Path model = Files.createDirectory(directory.resolve("pad-" + pad.hashCode()));
            edited(model, "bytelevel", "tokenizer_config.json", json -> json.put("pad_token", pad));
            Tokenizer tokenizer = Tokenizer.load(model);
            assertTrue(tokenizer.padId().isPresent());
            Document document = new Encoder(tokenizer, 64, false, true)
                    .encode(1, example)
                    .document()
                    .orElseThrow();
            assertArrayEquals(expected.labels(), document.labels(), pad);
        }
    }

    @Test
    void aRowWhoseLabelsAreAllCutAwayIsNoDocument() {
        Tokenizer tokenizer = tokenizer("bytelevel");
        Example.Completion example = new Example.Completion("the rain sings on the roof", "yes");
        int prompt = tokenizer.encodeRow(example.prompt(), true, false).length;
        assertTrue(new Encoder(tokenizer, prompt, false, true)
                .encode(1, example)
                .document()
                .isEmpty());
        assertEquals(
                1,
                new Encoder(tokenizer, prompt + 1, false, true)
                        .encode(1, example)
                        .document()
                        .orElseThrow()
                        .labelTokens());
        assertTrue(new Encoder(tokenizer, 64, false, false)
                .encode(1, new Example.Completion("the rain", ""))
                .document()
                .isEmpty());
    }

    @Test
    void aTokenizerThatEndsTextsItselfGivesOneEosAtTheEnd() {
        Tokenizer tokenizer = tokenizer("with-eos");
        int eos = tokenizer.eosId().getAsInt();
        for (boolean trainOnPrompt : new boolean[] {false, true}) {
            int[] ids = new Encoder(tokenizer, 64, trainOnPrompt, true)
                    .encode(1, new Example.Completion("the sky ", "is blue"))
                    .document()
                    .orElseThrow()
                    .inputIds();
            assertEquals(1, Arrays.stream(ids).filter(id -> id == eos).count());
            assertEquals(eos, ids[ids.length - 1]);
        }
    }

    @Test
    void aModelWithoutEosIsRefusedUnlessNoneIsAppended() throws IOException {
        Tokenizer tokenizer = Tokenizer.load(
                edited(directory, "bytelevel", "tokenizer_config.json", json -> json.remove("eos_token")));
        refused(() -> new Encoder(tokenizer, 64, false, true), "end-of-sequence", "--no-append-eos");
        assertEquals(3, length(new Encoder(tokenizer, 64, false, false), new Example.Completion("a", "b")));
    }

    private static int length(Tokenizer tokenizer, Example example, int maxLength) {
        return length(new Encoder(tokenizer, maxLength, false, true), example);
    }

    private static int length(Encoder encoder, Example example) {
        return encoder.encode(1, example).document().orElseThrow().length();
    }

    private static int firstLabel(Document document) {
        int at = 0;
        while (document.labels()[at] == Document.IGNORED) {
            at++;
        }
        return at;
    }
}
