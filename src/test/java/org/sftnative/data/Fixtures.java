package org.sftnative.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// What the tests of this room share.
final class Fixtures {
    static final Path TOKENIZERS = Path.of("src/test/resources/golden/tokenizers");
    static final List<String> KINDS = List.of(
            "bytelevel",
            "qwen",
            "metaspace",
            "metaspace-normalizer",
            "metaspace-legacy",
            "metaspace-fast",
            "with-eos",
            "no-post-processor");

    private Fixtures() {}

    static Tokenizer tokenizer(String kind) {
        return Tokenizer.load(TOKENIZERS.resolve(kind));
    }

    static JsonNode golden(String kind) {
        return Json.object(TOKENIZERS.resolve(kind).resolve("golden.json"));
    }

    static int[] ints(JsonNode array) {
        return array.valueStream().mapToInt(JsonNode::intValue).toArray();
    }

    /// A copy of a fixture's tokenizer in `directory`, changed by `edit`.
    static Path edited(Path directory, String kind, String file, Edit edit) throws IOException {
        for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
            Files.copy(TOKENIZERS.resolve(kind).resolve(name), directory.resolve(name));
        }
        ObjectNode json = Json.object(directory.resolve(file));
        edit.apply(json);
        Files.writeString(directory.resolve(file), json.toString());
        return directory;
    }

    interface Edit {
        void apply(ObjectNode json);
    }

    static Example.Completion example(JsonNode row) {
        return (Example.Completion) new RowFormat.Alpaca().example(new Row(Path.of("rows.json"), 1, (ObjectNode) row));
    }

    static Document document(int row, int length) {
        int[] ids = new int[length];
        java.util.Arrays.setAll(ids, i -> row * 1000 + i);
        int[] labels = ids.clone();
        labels[0] = Document.IGNORED;
        return new Document(row, ids, labels);
    }

    static Dataset dataset(List<Document> documents) {
        long tokens = documents.stream().mapToLong(Document::length).sum();
        return Dataset.of(
                Path.of("rows.json"),
                documents,
                new Dataset.Report(documents.size(), tokens, tokens - documents.size(), 0, List.of()));
    }

    /// Asserts that the call is refused, with a message that holds every one of `parts`.
    static void refused(Runnable call, String... parts) {
        InputException e = Assertions.assertThrows(InputException.class, call::run);
        for (String part : parts) {
            Assertions.assertTrue(
                    e.getMessage().contains(part), () -> "'" + part + "' is not in the message: " + e.getMessage());
        }
    }
}
