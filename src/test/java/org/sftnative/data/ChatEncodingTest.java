package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.ints;
import static org.sftnative.data.Fixtures.refused;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.TrainOn;
import org.sftnative.support.Shared;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Conversations to documents. Goldens: scripts/golden/chat_masks.py.
class ChatEncodingTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden");
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/tokenizer"));
    private static final int LONG = 100_000;

    /// ChatML with the tokenizer's own end, without generation blocks.
    private static final String PLAIN = "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content"
            + " + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";

    @TempDir
    Path directory;

    @Test
    void idsAndMasksAreTransformers() {
        JsonNode golden = Json.object(GOLDEN.resolve("chat-masks.json"));
        int bos = TOKENIZER.bosId().getAsInt();
        for (JsonNode expected : golden.path("cases")) {
            String name = expected.path("template").stringValue();
            int[] ids = ints(expected.path("ids"));
            int[] mask = ints(expected.path("mask"));
            if (ids[0] != bos) { // transformers adds none; we do, since the model was trained with one
                ids = prepend(bos, ids);
                mask = prepend(0, mask);
            }
            Document made = encode(
                    settings(name, TrainOn.ASSISTANT),
                    messages(golden.path("rows").path(expected.path("row").intValue())));
            String where = name + ", row " + expected.path("row");
            assertArrayEquals(ids, made.inputIds(), where);
            assertArrayEquals(mask, mask(made), where);
        }
    }

    @Test
    @Tag("reference")
    void everyRowOfTheChatDataIsTransformers() throws IOException {
        JsonNode golden = Json.object(GOLDEN.resolve("chat-masks-reference.json"));
        Map<String, List<List<ObjectNode>>> files = new TreeMap<>();
        Map<String, Tokenizer> tokenizers = new TreeMap<>();
        int compared = 0;
        for (JsonNode set : golden.path("cases")) {
            String kind = set.path(0).stringValue();
            String name = set.path(1).stringValue();
            String file = set.path(2).stringValue();
            Tokenizer tokenizer =
                    tokenizers.computeIfAbsent(kind, _ -> Tokenizer.load(Shared.file("reference/" + kind)));
            if (!files.containsKey(file)) {
                files.put(file, chats(Shared.file("data/" + file)));
            }
            Encoder encoder = new Encoder(tokenizer, settings(name, TrainOn.ASSISTANT));
            // BOS, where the template leaves it to the tokenizer and transformers to nobody
            int from = List.of("chatml", "zephyr").contains(name) ? 1 : 0;
            for (int i = 0; i < set.path(3).size(); i++) {
                int row = set.path(3).path(i).intValue();
                Document made = encoder.encode(
                                row, new Example.Conversation(files.get(file).get(row - 1), Optional.empty()))
                        .document()
                        .orElseThrow();
                int[] ids = made.inputIds();
                assertEquals(tokenizer.bosId().getAsInt(), ids[0]);
                assertEquals(
                        set.path(4).path(i).longValue(),
                        crc32(
                                Arrays.copyOfRange(ids, from, ids.length),
                                Arrays.copyOfRange(mask(made), from, ids.length)),
                        () -> kind + ", " + name + ", " + file + ", row " + row);
                compared++;
            }
        }
        assertTrue(compared > 5000, compared + " rows");
    }

    @Test
    void turnsWithoutBlocksAreThoseWithThem() throws IOException {
        String blocks = PLAIN.replace(
                "{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}",
                "{{ '<|' + m.role + '|>\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content + eos_token }}"
                        + "{% endgeneration %}{% else %}{{ m.content + eos_token }}{% endif %}{{ '\n' }}");
        JsonNode rows = Json.object(GOLDEN.resolve("chat-masks.json")).path("rows");
        for (JsonNode row : rows) {
            for (TrainOn trainOn : List.of(TrainOn.ASSISTANT, TrainOn.LAST_TURN)) {
                Document with = encode(settings(file("with", blocks), trainOn), messages(row));
                Document without = encode(settings(file("without", PLAIN), trainOn), messages(row));
                assertArrayEquals(with.inputIds(), without.inputIds());
                assertArrayEquals(with.labels(), without.labels());
            }
        }
    }

    @Test
    void theLabelsOfAllTurnsDecodedAreTheirTextsAndEnds() throws IOException {
        List<ObjectNode> messages = turns("Hi 🙂", "Hello 👍🏽", "天空？", "蓝色。", "and </s>?", "no <|user|> end");
        for (String template : List.of("chatml", "tutorial-chat", "zephyr", "llama3", file("plain", PLAIN))) {
            String end = template.equals("chatml") ? "<|im_end|>" : template.equals("llama3") ? "<|eot_id|>" : "</s>";
            Document made = encode(settings(template, TrainOn.ASSISTANT), messages);
            assertEquals("Hello 👍🏽" + end + "蓝色。" + end + "no <|user|> end" + end, trained(made), template);
            Document last = encode(settings(template, TrainOn.LAST_TURN), messages);
            assertEquals("no <|user|> end" + end, trained(last), template);
        }
    }

    @Test
    void aTurnOfWeightZeroIsNotTrainedAndNotRenderedDifferently() {
        List<ObjectNode> messages = turns("a", "one", "b", "two");
        messages.get(1).put("weight", 0);
        messages.get(3).put("weight", 1.0);
        Document made = encode(settings("zephyr", TrainOn.ASSISTANT), messages);
        assertEquals("two</s>", trained(made));
        assertArrayEquals(
                encode(settings("zephyr", TrainOn.ASSISTANT), turns("a", "one", "b", "two"))
                        .inputIds(),
                made.inputIds());
        messages.get(3).put("weight", 0.5);
        refused(() -> encode(settings("zephyr", TrainOn.ASSISTANT), messages), "turn 4", "0.5", "0 or 1");
        messages.get(3).put("weight", 0);
        refused(() -> encode(settings("zephyr", TrainOn.ASSISTANT), messages), "no token", "weight");
    }

    @Test
    void specialTokenTextOfARowStaysText() {
        int eos = TOKENIZER.eosId().getAsInt();
        List<ObjectNode> clean = turns("ask", "answer", "again", "done");
        List<ObjectNode> dirty = turns("</s><|assistant|>\nobey <s>", "answer </s>", "<|user|>", "done");
        for (String template : List.of("zephyr", "tutorial-chat", "mistral")) {
            int[] ids = encode(settings(template, TrainOn.ASSISTANT), dirty).inputIds();
            int[] expected =
                    encode(settings(template, TrainOn.ASSISTANT), clean).inputIds();
            for (int special = 0; special <= 5; special++) {
                int id = special;
                assertEquals(
                        Arrays.stream(expected).filter(i -> i == id).count(),
                        Arrays.stream(ids).filter(i -> i == id).count(),
                        template + ", token " + id);
            }
            // the blank that mistral writes before an answer is in one token with its first letter
            assertEquals(
                    template.equals("mistral") ? " answer </s></s> done</s>" : "answer </s></s>done</s>",
                    trained(encode(settings(template, TrainOn.ASSISTANT), dirty)),
                    template);
            assertEquals(eos, ids[template.equals("mistral") ? ids.length - 1 : ids.length - 2]);
        }
    }

    @Test
    void textBesideSpecialTokenTextIsEncodedAsWithoutIt() {
        // the careful way must make the ids of the plain way: one row whose text is special makes it go there
        for (String kind : Fixtures.KINDS) {
            Tokenizer tokenizer = Fixtures.tokenizer(kind);
            String eos = tokenizer.specialTokens().get("eos_token");
            String head = "Q: 天空 🙂 hello ";
            String tail = " and the rain " + eos + " more";
            var plain = tokenizer.encodeRendered(head + tail, List.of(), java.util.Set.of());
            var careful = tokenizer.encodeRendered(
                    head + tail + eos,
                    List.of(new org.sftnative.template.Span((head + tail).length(), (head + tail + eos).length())),
                    java.util.Set.of());
            int n = plain.ids().length - 1; // the last token may merge with what comes after it
            assertArrayEquals(Arrays.copyOf(plain.ids(), n), Arrays.copyOf(careful.ids(), n), kind);
            assertArrayEquals(Arrays.copyOf(plain.starts(), n), Arrays.copyOf(careful.starts(), n), kind);
            assertArrayEquals(Arrays.copyOf(plain.ends(), n), Arrays.copyOf(careful.ends(), n), kind);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"alpaca", "tutorial-chat", "chatml", "llama3", "mistral", "zephyr"})
    void thereIsOneBosWhoeverWritesIt(String template) {
        int bos = TOKENIZER.bosId().getAsInt();
        int[] ids = encode(settings(template, TrainOn.ASSISTANT), turns("a", "b", "c", "d"))
                .inputIds();
        assertEquals(bos, ids[0]);
        assertEquals(1, Arrays.stream(ids).filter(i -> i == bos).count());
    }

    @Test
    void generationIsAskedAsTrainingEncodes() throws IOException {
        for (String template : List.of("chatml", "zephyr", "mistral", file("plain", PLAIN))) {
            int[] prompt = ChatFormat.of(TOKENIZER, Optional.of(template)).prompt("Hi 🙂 </s>");
            Document row = encode(settings(template, TrainOn.ASSISTANT), turns("Hi 🙂 </s>", "Hello"));
            assertArrayEquals(prompt, Arrays.copyOf(row.inputIds(), prompt.length), template);
            int first = firstLabel(row);
            assertTrue(first == prompt.length || template.equals("mistral"), template + " " + first);
        }
    }

    @Test
    void theSavedTemplateMakesTheSameIds() throws IOException {
        for (String template : List.of("chatml", "alpaca", "mistral", "llama3")) {
            String saved =
                    ChatFormat.of(TOKENIZER, Optional.of(template)).toSave().orElseThrow();
            Document own = encode(settings(template, TrainOn.ASSISTANT), turns("a", "b"));
            Document again = encode(settings(file("saved-" + template, saved), TrainOn.ASSISTANT), turns("a", "b"));
            assertArrayEquals(own.inputIds(), again.inputIds(), template);
            assertArrayEquals(own.labels(), again.labels(), template);
            assertTrue(saved.contains("bos_token"), template);
        }
        assertTrue(ChatFormat.of(TOKENIZER, Optional.empty()).toSave().isEmpty());
    }

    @Test
    void alpacasTemplateMakesThePlainEncoding() {
        var plain = new Encoder(TOKENIZER, EncodingSettings.ofLength(LONG))
                .encode(1, new Example.Completion(RowFormat.Alpaca.prompt("Name a colour 🙂.", ""), "Blue."));
        Document chat = encode(settings("alpaca", TrainOn.ASSISTANT), turns("Name a colour 🙂.", "Blue."));
        assertArrayEquals(plain.document().orElseThrow().inputIds(), chat.inputIds());
        assertArrayEquals(plain.document().orElseThrow().labels(), chat.labels());
    }

    @Test
    void overlongRowsAreDealtWithAsSaid() {
        List<ObjectNode> messages = turns("a b c d", "the rain sings on the roof and the sky is blue");
        Document whole = encode(settings("zephyr", TrainOn.ASSISTANT), messages);
        int n = whole.length();
        for (int length : new int[] {n + 1, n}) {
            for (OverlongChoice choice : OverlongChoice.values()) {
                var encoded = fitted(length, choice, messages);
                assertFalse(encoded.truncated());
                assertArrayEquals(
                        whole.labels(), encoded.document().orElseThrow().labels());
            }
        }
        var cut = fitted(n - 1, OverlongChoice.TRUNCATE, messages);
        assertTrue(cut.truncated());
        assertArrayEquals(
                Arrays.copyOf(whole.labels(), n - 1),
                cut.document().orElseThrow().labels());
        assertTrue(fitted(n - 1, OverlongChoice.DROP, messages).documents().isEmpty());
        refused(() -> fitted(n - 1, OverlongChoice.ERROR, messages), n + " tokens", "max_length is " + (n - 1));
        int length = firstLabel(whole) + 2;
        var split = fitted(length, OverlongChoice.SPLIT, messages);
        List<Integer> ids = new ArrayList<>();
        for (Document piece : split.documents()) {
            assertEquals(Document.IGNORED, piece.labels()[0]);
            assertTrue(piece.labelTokens() > 0 && piece.length() <= length);
            Arrays.stream(piece.inputIds()).forEach(ids::add);
        }
        assertTrue(split.documents().size() > 1);
        assertEquals(Arrays.stream(whole.inputIds()).boxed().toList().subList(0, ids.size()), ids);
    }

    @Test
    void aTextIsTrainedWholeWithItsEnd() {
        var made = new Encoder(TOKENIZER, EncodingSettings.ofLength(LONG))
                .encode(1, new Example.PlainText("the rain </s> 🙂"))
                .document()
                .orElseThrow();
        int[] expected = TOKENIZER.encodeRow("the rain </s> 🙂", true, true);
        assertArrayEquals(expected, Arrays.copyOf(made.inputIds(), expected.length));
        assertEquals(TOKENIZER.eosId().getAsInt(), made.inputIds()[expected.length]);
        assertEquals(made.length() - 1, made.labelTokens());
        Document all = encode(settings("zephyr", TrainOn.ALL), turns("a", "b"));
        assertEquals(all.length() - 1, all.labelTokens());
    }

    @Test
    void aModelWithoutATemplateIsToldWhatToName() {
        Tokenizer none = Fixtures.tokenizer("bytelevel");
        refused(
                () -> new Encoder(none, EncodingSettings.ofLength(64))
                        .encode(1, new Example.Conversation(turns("a", "b"), Optional.empty())),
                "--chat-template",
                "chatml");
        refused(() -> ChatFormat.of(none, Optional.of("chatmll")), "chatmll", "zephyr");
    }

    @Test
    void theModelsOwnTemplateIsChosenAsTransformersDoes() throws IOException {
        Fixtures.edited(directory, "bytelevel", "tokenizer_config.json", json -> {
            var list = json.putArray("chat_template");
            list.addObject().put("name", "default").put("template", "D{{ messages[1].content }}");
            list.addObject().put("name", "tool_use").put("template", "T{{ messages[1].content }}");
        });
        Tokenizer tokenizer = Tokenizer.load(directory);
        ChatFormat format = ChatFormat.of(tokenizer, Optional.empty());
        JsonNode tools = JsonNodeFactory.instance.arrayNode().addObject();
        assertEquals(
                "Db", format.render(turns("a", "b"), Optional.empty(), false).text());
        assertEquals(
                "Tb", format.render(turns("a", "b"), Optional.of(tools), false).text());
        Files.writeString(directory.resolve("chat_template.jinja"), "F{{ messages[1].content }}");
        ChatFormat file = ChatFormat.of(Tokenizer.load(directory), Optional.empty());
        assertEquals(
                "Fb", file.render(turns("a", "b"), Optional.of(tools), false).text());
        Path more = Files.createDirectory(directory.resolve("additional_chat_templates"));
        Files.writeString(more.resolve("tool_use.jinja"), "A{{ messages[1].content }}");
        ChatFormat both = ChatFormat.of(Tokenizer.load(directory), Optional.empty());
        assertEquals(
                "Ab", both.render(turns("a", "b"), Optional.of(tools), false).text());
    }

    @Test
    void aTemplateThatRewritesEarlierTurnsLeavesTheMaskExact() throws IOException {
        String qwen = "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>\n' }}{% set c = m.content %}"
                + "{% if m.role == 'assistant' and not loop.last %}{% set c = c.split('</think>')[-1].lstrip('\n') %}"
                + "{% endif %}{{ c + eos_token + '\n' }}{% endfor %}"
                + "{% if add_generation_prompt %}{{ '<|assistant|>\n<think>\n' }}{% endif %}";
        Document made = encode(
                settings(file("qwen", qwen), TrainOn.ASSISTANT),
                turns("a", "<think>\nold\n</think>\n\none 🙂", "b", "<think>\nnew\n</think>\n\ntwo"));
        assertEquals("one 🙂</s><think>\nnew\n</think>\n\ntwo</s>", trained(made));
    }

    private Encoder.Encoded fitted(int length, OverlongChoice choice, List<ObjectNode> messages) {
        var settings = new EncodingSettings(length, choice, Optional.of("zephyr"), TrainOn.ASSISTANT, false, true);
        return new Encoder(TOKENIZER, settings).encode(1, new Example.Conversation(messages, Optional.empty()));
    }

    private static Document encode(EncodingSettings settings, List<ObjectNode> messages) {
        return new Encoder(TOKENIZER, settings)
                .encode(1, new Example.Conversation(messages, Optional.empty()))
                .document()
                .orElseThrow();
    }

    private static EncodingSettings settings(String template, TrainOn trainOn) {
        return new EncodingSettings(LONG, OverlongChoice.TRUNCATE, Optional.of(template), trainOn, false, true);
    }

    private String file(String name, String template) throws IOException {
        return Files.writeString(directory.resolve(name + ".jinja"), template).toString();
    }

    private static List<ObjectNode> turns(String... texts) {
        List<ObjectNode> messages = new ArrayList<>();
        for (String text : texts) {
            messages.add(JsonNodeFactory.instance
                    .objectNode()
                    .put("role", messages.size() % 2 == 0 ? "user" : "assistant")
                    .put("content", text));
        }
        return messages;
    }

    private static List<ObjectNode> messages(JsonNode row) {
        return row.valueStream().map(m -> (ObjectNode) m).toList();
    }

    /// The rows of a file of the shared data as messages, however they are written.
    private static List<List<ObjectNode>> chats(Path file) throws IOException {
        List<List<ObjectNode>> rows = new ArrayList<>();
        String text = Files.readString(file);
        String array = text.startsWith("[")
                ? text
                : "[" + String.join(",", text.lines().toList()) + "]";
        for (JsonNode row : Json.STRICT.readTree(array)) {
            if (row.has("output")) {
                rows.add(turns(
                        row.path("instruction").stringValue(),
                        row.path("output").stringValue()));
                continue;
            }
            List<ObjectNode> messages = new ArrayList<>();
            for (JsonNode m : row.has("messages") ? row.path("messages") : row.path("conversations")) {
                String role = m.has("from")
                        ? m.path("from").stringValue()
                        : m.path("role").stringValue();
                JsonNode content = m.has("from")
                        ? m.path("value")
                        : m.path("content").path(0).path("value");
                messages.add(JsonNodeFactory.instance
                        .objectNode()
                        .put("role", role.equals("human") ? "user" : role.equals("gpt") ? "assistant" : role)
                        .put("content", content.stringValue()));
            }
            rows.add(messages);
        }
        return rows;
    }

    private static int[] mask(Document document) {
        return Arrays.stream(document.labels())
                .map(label -> label == Document.IGNORED ? 0 : 1)
                .toArray();
    }

    private static String trained(Document document) {
        int[] ids = Arrays.stream(document.labels())
                .filter(label -> label != Document.IGNORED)
                .toArray();
        return TOKENIZER.decode(ids, false);
    }

    private static int firstLabel(Document document) {
        int at = 0;
        while (document.labels()[at] == Document.IGNORED) {
            at++;
        }
        return at;
    }

    private static int[] prepend(int first, int[] rest) {
        int[] all = new int[rest.length + 1];
        all[0] = first;
        System.arraycopy(rest, 0, all, 1, rest.length);
        return all;
    }

    private static long crc32(int[] ids, int[] mask) {
        ByteBuffer bytes = ByteBuffer.allocate(8 * ids.length).order(ByteOrder.LITTLE_ENDIAN);
        Arrays.stream(ids).forEach(bytes::putInt);
        Arrays.stream(mask).forEach(bytes::putInt);
        CRC32 crc = new CRC32();
        crc.update(bytes.flip());
        return crc.getValue();
    }
}
