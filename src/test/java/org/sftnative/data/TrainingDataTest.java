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
import java.util.stream.IntStream;
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
        Path mix = rows(
                "mix.jsonl", IntStream.range(0, 900).mapToObj(i -> "mixed " + i).toList());
        DataSettings settings = new DataSettings(
                List.of(file, rows("second.jsonl", List.of("x", "y", "x"))),
                Optional.empty(),
                0.1,
                List.of(mix + "=0.1"),
                CombineChoice.INTERLEAVE,
                true,
                true,
                PackingChoice.BFD,
                3000);
        TrainingData one = load(settings, 1, 512);
        TrainingData seven = load(settings, 7, 512);
        assertEquals(one.train().fingerprint(), seven.train().fingerprint());
        assertEquals(
                one.eval().orElseThrow().fingerprint(),
                seven.eval().orElseThrow().fingerprint());
        assertEquals(one.train().report(), seven.train().report());
        assertEquals(one.train().sources(), seven.train().sources());
        StepPlan first = StepPlan.of(one.train(), settings, StepShape.of(settings, 512, 16), 1024, 42);
        StepPlan second = StepPlan.of(seven.train(), settings, StepShape.of(settings, 512, 16), 1024, 42);
        assertEquals(first.steps(3), second.steps(3));
        for (long epoch = 0; epoch < 3; epoch++) {
            assertArrayEquals(first.documentsIn(epoch), second.documentsIn(epoch));
        }
    }

    private TrainingData load(DataSettings settings, int workers, int maxLength) throws Exception {
        try (ForkJoinPool pool = new ForkJoinPool(workers)) {
            return pool.submit(() -> load(settings, maxLength)).get();
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
    void equalRowsAreCountedAcrossFilesAndTrainedOnceIfWanted() throws IOException {
        Path first = rows("first.jsonl", List.of("a", "b", "a"));
        Path second = rows("second.jsonl", List.of("c", "b", "d"));
        Path eval = rows("eval.jsonl", List.of("d", "x", "d", "a"));
        DataSettings settings = DataSettings.of(first, second).withEval(eval);
        TrainingData all = load(settings, 512);
        assertEquals(6, all.train().documents().size());
        assertEquals(2, all.train().report().duplicates());
        assertEquals(3, all.eval().orElseThrow().report().shared(), "two rows d and one a");
        TrainingData once = load(settings.deduplicated(), 512);
        assertEquals(
                List.of(first + ", row 1", first + ", row 2", second + ", row 1", second + ", row 3"),
                IntStream.range(0, 4).mapToObj(once.train()::where).toList());
        assertEquals(4, once.train().documents().size());
        assertEquals(2, once.train().report().duplicates());
        assertEquals(6, once.train().report().rows());
        assertEquals(4, once.eval().orElseThrow().documents().size(), "evaluation rows stay as they are");
    }

    @Test
    void aMixedSetIsNeverEvaluatedAndHasNoRowThatIs() throws IOException {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            texts.add("text " + i);
        }
        Path file = rows("rows.jsonl", texts);
        Path mix = rows("mix.jsonl", texts); // the same rows, of which some are kept for evaluation
        TrainingData data = load(DataSettings.of(file).withEvalFraction(0.25).withMix(mix + "=0.5"), 512);
        int evaluated = data.eval().orElseThrow().documents().size();
        int trained = 200 - evaluated;
        assertTrue(evaluated > 20);
        assertEquals(List.of(new Dataset.Mix(mix, trained, 0.5)), data.train().mixes());
        assertEquals(2 * trained, data.train().documents().size());
        assertEquals(evaluated, data.train().report().shared());
        assertEquals(0, data.eval().orElseThrow().report().shared());
        assertEquals(mix + ", row ", data.train().where(trained).replaceAll("\\d+$", ""));
        Path longRows = rows("long.jsonl", List.of("the rain ".repeat(40)));
        refused(() -> load(DataSettings.of(file).withMix(longRows + "=0.5"), 60), "'mix' leaves no row of " + longRows);
    }

    @Test
    void sharesAreCheckedBeforeAnythingIsRead() {
        Path none = Path.of("none.jsonl");
        for (String mix : List.of("a.json", "a.json=", "a.json=0", "a.json=1", "a.json=1.5", "=0.1", "a.json=-0.1")) {
            refused(() -> DataSettings.of(none).withMix(mix), "setting 'mix' is '" + mix + "'", "FILE=0.15");
        }
        refused(() -> DataSettings.of(none).withMix("a=0.5", "b=0.5"), "less than 1");
        assertEquals(
                List.of(new DataSettings.Mix(Path.of("a=b.json"), 0.25), new DataSettings.Mix(Path.of("c"), 0.5)),
                DataSettings.of(none).withMix("a=b.json=0.25", "c=.5").mixes());
    }

    @Test
    void brokenRowsAreSkippedUpToTheNumberAllowedOverAllFiles() throws IOException {
        Path file = directory.resolve("rows.jsonl");
        String good = "{\"instruction\":\"a\",\"output\":\"b\"}\n";
        Files.writeString(file, good + "{\"instruction\":\"a\"}\n" + good);
        Path eval = directory.resolve("eval.jsonl");
        Files.writeString(eval, "{\"instruction\":\"a\"}\n" + good);
        DataSettings settings = DataSettings.of(file).withEval(eval);
        TrainingData data = TrainingData.load(
                settings,
                new RowSettings(RowSettings.DEFAULT.format(), List.of(), 2),
                EncodingSettings.ofLength(64),
                tokenizer);
        assertEquals(2, data.train().documents().size());
        assertEquals(2, data.bad().size());
        assertTrue(data.bad().getLast().startsWith(eval + ", row 1: 'output' is missing"), data.bad()::getLast);
        RowSettings one = new RowSettings(RowSettings.DEFAULT.format(), List.of(), 1);
        refused(
                () -> TrainingData.load(settings, one, EncodingSettings.ofLength(64), tokenizer),
                eval + ", row 1",
                "max_bad");
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
