package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.document;
import static org.sftnative.data.Fixtures.refused;
import static org.sftnative.data.Fixtures.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ForkJoinPool;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.CombineChoice;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.PackingChoice;
import org.sftnative.config.RowSettings;

class TrainingDataTest {
    private final Tokenizer tokenizer = tokenizer("bytelevel");

    @TempDir
    Path directory;

    @Test
    void rowsThatLoseEveryLabelAreDroppedByNumberAndCounted() throws IOException {
        Path file = rows("rows.jsonl", List.of("a", "the rain ".repeat(40), "b", "the sky ".repeat(40)));
        Path second = rows("second.jsonl", List.of("the river ".repeat(40), "c"));
        Dataset train = load(DataSettings.of(file, second), 60).train();
        assertEquals(
                List.of(new Dataset.Dropped(file, 2), new Dataset.Dropped(file, 4), new Dataset.Dropped(second, 1)),
                train.report().dropped());
        assertEquals(3, train.report().truncated());
        assertEquals(6, train.report().rows());
        assertEquals(
                List.of(1, 3, 2), train.documents().stream().map(Document::row).toList());
        assertEquals(
                train.documents().stream().mapToLong(Document::length).sum(),
                train.report().tokens());
        assertEquals(
                train.documents().stream().mapToLong(Document::labelTokens).sum(),
                train.report().labelTokens());
        assertEquals(file + ", row 3", train.where(1));
        assertEquals(second + ", row 2", train.where(2));
    }

    @Test
    void losingEveryRowIsAnError() throws IOException {
        Path file = rows("rows.jsonl", List.of("a", "b"));
        refused(() -> load(DataSettings.of(file), 4), "all 2 rows", "row 1", "max_length 4");
        Path none = directory.resolve("none.json");
        Files.writeString(none, "[]");
        refused(() -> load(DataSettings.of(none), 64), "leaves no row");
    }

    @Test
    void aBrokenRowNamesFileAndRow() throws IOException {
        Path file = directory.resolve("rows.jsonl");
        Files.writeString(file, "{\"instruction\":\"a\",\"output\":\"b\"}\n{\"instruction\":\"a\",\"answer\":\"b\"}\n");
        refused(
                () -> load(DataSettings.of(file), 64),
                file + ", row 2: 'output' is missing (keys: instruction, answer)");
    }

    @Test
    void theResultDoesNotDependOnTheNumberOfWorkers() throws Exception {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < 5000; i++) { // more than one piece
            texts.add("row " + i + " the rain ".repeat(i % 7));
        }
        Path file = rows("rows.jsonl", texts);
        List<Document> expected = load(file, 1);
        List<Document> documents = load(file, 7);
        assertEquals(5000, documents.size());
        for (int i = 0; i < expected.size(); i++) {
            assertEquals(i + 1, documents.get(i).row());
            assertArrayEquals(expected.get(i).inputIds(), documents.get(i).inputIds());
            assertArrayEquals(expected.get(i).labels(), documents.get(i).labels());
        }
    }

    private List<Document> load(Path file, int workers) throws Exception {
        try (ForkJoinPool pool = new ForkJoinPool(workers)) {
            return pool.submit(() -> load(DataSettings.of(file), 512).train().documents())
                    .get();
        }
    }

    @Test
    void duplicatesNeverStraddleTheSplitAndNothingIsLost() throws IOException {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < 1200; i++) {
            texts.add("text " + i % 400); // each three times
        }
        Path file = rows("rows.jsonl", texts);
        TrainingData data = load(DataSettings.of(file).withEvalFraction(0.25), 512);
        Map<String, String> sides = new HashMap<>();
        int rows = 0;
        for (Dataset side : List.of(data.train(), data.eval().orElseThrow())) {
            String name = side == data.train() ? "train" : "eval";
            for (Document document : side.documents()) {
                String text = tokenizer.decode(document.inputIds(), true);
                assertEquals(name, sides.merge(text, name, (old, now) -> old.equals(now) ? now : "both"));
                rows++;
            }
        }
        assertEquals(1200, rows);
        assertEquals(400, sides.size());
        long evaluated = sides.values().stream().filter("eval"::equals).count();
        assertTrue(evaluated > 70 && evaluated < 130, "of 400 texts a quarter, within 3.5 sigma: " + evaluated);
    }

    @Test
    void aRowStaysOnItsSideWhenOthersAreAdded() {
        Example.Completion example = new Example.Completion("ab", "c");
        assertEquals(
                ContentHash.of(example).position(),
                ContentHash.of(new Example.Completion("ab", "c")).position());
        assertTrue(ContentHash.of(example).position()
                != ContentHash.of(new Example.Completion("a", "bc")).position());
        assertTrue(ContentHash.of(example).position()
                != ContentHash.of(new Example.Completion("ba", "c")).position());
        assertTrue(ContentHash.of(example).position()
                != ContentHash.of(new Example.Completion("ab", "d")).position());
    }

    @Test
    void anEvaluationFileIsReadWhole() throws IOException {
        Path file = rows("rows.jsonl", List.of("a", "b"));
        Path eval = rows("eval.jsonl", List.of("c", "d", "e"));
        TrainingData data = load(DataSettings.of(file).withEval(eval), 512);
        assertEquals(2, data.train().documents().size());
        assertEquals(3, data.eval().orElseThrow().documents().size());
        assertEquals(eval + ", row 2", data.eval().orElseThrow().where(1));
        refused(
                () -> new DataSettings(
                        List.of(file),
                        Optional.of(eval),
                        0.1,
                        List.of(),
                        CombineChoice.CONCATENATE,
                        false,
                        true,
                        PackingChoice.NONE,
                        0),
                "eval_file",
                "eval_fraction");
        refused(() -> load(DataSettings.of(file).withEvalFraction(1e-9), 512), "'eval_fraction' leaves no row");
    }

    @Test
    void aTokenBeyondTheVocabularyIsRefused() {
        Dataset dataset = Fixtures.dataset(List.of(document(0, 3), document(1, 4)));
        dataset.checkVocabulary(1004);
        refused(() -> dataset.checkVocabulary(1003), "rows.json, row 1", "token id 1003", "vocabulary of 1003");
    }

    @Test
    void everyRowOfTheProjectTrainsItsOutputAndEosAlone() {
        Path file = Path.of("data/quickstart.jsonl");
        Tokenizer own = Tokenizer.load(Path.of("models/tokenizer"));
        Dataset train = TrainingData.load(
                        DataSettings.of(file), RowSettings.DEFAULT, EncodingSettings.ofLength(512), own)
                .train();
        List<Row> rows = new ArrayList<>();
        try (Rows all = Rows.open(file)) {
            all.forEachRemaining(rows::add);
        }
        assertEquals(rows.size(), train.documents().size());
        for (int i = 0; i < rows.size(); i++) {
            Document document = train.documents().get(i);
            int[] trained = Arrays.stream(document.labels())
                    .filter(label -> label != Document.IGNORED)
                    .toArray();
            assertEquals(own.eosId().getAsInt(), trained[trained.length - 1]);
            assertEquals(
                    rows.get(i).fields().path("output").stringValue(),
                    own.decode(Arrays.copyOf(trained, trained.length - 1), false));
            assertEquals(own.bosId().getAsInt(), document.inputIds()[0]);
        }
        train.checkVocabulary(own.vocabSize());
    }

    private Path rows(String name, List<String> outputs) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (String output : outputs) {
            // a long text is a long prompt too, so that it loses its labels
            String instruction = output.length() > 100 ? output : "say";
            lines.append("{\"instruction\":\"")
                    .append(instruction)
                    .append("\",\"output\":\"")
                    .append(output);
            lines.append("\"}\n");
        }
        return Files.writeString(directory.resolve(name), lines);
    }

    private TrainingData load(DataSettings data, int maxLength) {
        return TrainingData.load(data, RowSettings.DEFAULT, EncodingSettings.ofLength(maxLength), tokenizer);
    }
}
