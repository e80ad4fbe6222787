package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.support.Shared;

class DataReportTest {
    @ParameterizedTest
    @ValueSource(strings = {"bytelevel", "qwen", "metaspace", "metaspace-legacy", "with-eos"})
    void piecesPutTogetherAreTheTextAndEveryTokenIsInOne(String kind) {
        Tokenizer tokenizer = Fixtures.tokenizer(kind);
        for (String text : List.of("the  rain\n\n in spain ", "你好，世界 the 🦀 crab", "a", "naïve\tcafé ".repeat(40))) {
            int[] ids = tokenizer.encodeRow(text, true, false);
            int[] labels = ids.clone();
            Arrays.fill(labels, 0, Math.max(1, ids.length / 2), Document.IGNORED);
            Document document = new Document(1, ids, labels);
            List<DataReport.Piece> pieces = DataReport.pieces(document, tokenizer);
            assertEquals(
                    Arrays.stream(ids).boxed().toList(),
                    pieces.stream().flatMap(piece -> piece.ids().stream()).toList());
            assertEquals(
                    document.labelTokens(),
                    pieces.stream()
                            .filter(DataReport.Piece::trained)
                            .mapToInt(piece -> piece.ids().size())
                            .sum());
            String all = pieces.stream().map(DataReport.Piece::text).collect(Collectors.joining());
            String whole = tokenizer.decode(ids, false);
            // the border between given and trained may lie within a character
            assertTrue(all.equals(whole) || all.contains("\uFFFD"), () -> all + "\n" + whole);
        }
    }

    @Test
    void percentilesAndBinsCountEveryDocument() {
        Random random = new Random(1);
        for (int trial = 0; trial < 200; trial++) {
            int[] lengths = random.ints(1 + random.nextInt(300), 1, 2 + random.nextInt(3000))
                    .toArray();
            DataReport.Lengths report = DataReport.Lengths.of(lengths);
            int[] sorted = Arrays.stream(lengths).sorted().toArray();
            assertEquals(sorted[0], report.percentiles().getFirst());
            assertEquals(sorted[sorted.length - 1], report.percentiles().getLast());
            for (int p = 1; p < DataReport.Lengths.PERCENTS.size(); p++) {
                int value = report.percentiles().get(p);
                double atMost = Arrays.stream(sorted).filter(n -> n <= value).count() * 100.0 / sorted.length;
                double below = Arrays.stream(sorted).filter(n -> n < value).count() * 100.0 / sorted.length;
                int percent = DataReport.Lengths.PERCENTS.get(p);
                assertTrue(below < percent && percent <= atMost, percent + "%: " + value);
            }
            assertTrue(report.bins().size() <= 16);
            for (int b = 0; b < report.bins().size(); b++) {
                int from = b * report.binWidth();
                long inside = Arrays.stream(sorted)
                        .filter(n -> n > from && n <= from + report.binWidth())
                        .count();
                assertEquals(inside, report.bins().get(b).longValue());
            }
            assertEquals(lengths.length, report.bins().stream().mapToInt(n -> n).sum());
        }
    }

    @Test
    void ofARowInPiecesTheLastOneHasToEnd() {
        Tokenizer tokenizer = Fixtures.tokenizer("bytelevel");
        int eos = tokenizer.eosId().getAsInt();
        Document first = new Document(1, new int[] {8, 9}, new int[] {-100, 9});
        Document last = new Document(1, new int[] {8, 9, eos}, new int[] {-100, 9, eos});
        for (var pieces : List.of(List.of(first, last), List.of(last, first))) {
            Dataset dataset = Fixtures.dataset(pieces);
            DataReport report = DataReport.of(
                    new TrainingData(dataset, Optional.empty(), List.of()),
                    tokenizer,
                    8,
                    new StepPlan(dataset, 2, 8, 42, true));
            assertEquals(pieces.getFirst() == first ? 0 : 1, report.withoutEos());
        }
    }

    @Test
    void aRowWithoutATrainedEosIsCounted() {
        Tokenizer tokenizer = Fixtures.tokenizer("bytelevel");
        int eos = tokenizer.eosId().getAsInt();
        Document ends = new Document(1, new int[] {8, 9, eos}, new int[] {-100, 9, eos});
        Document given = new Document(2, new int[] {8, eos, 9}, new int[] {-100, -100, 9});
        Document cut = new Document(3, new int[] {8, eos, 9}, new int[] {-100, eos, 9}); // in its second turn
        Dataset dataset = Fixtures.dataset(List.of(ends, given, cut));
        DataReport report = DataReport.of(
                new TrainingData(dataset, Optional.empty(), List.of()),
                tokenizer,
                8,
                new StepPlan(dataset, 2, 8, 42, true));
        assertEquals(2, report.withoutEos());
        assertEquals(new DataReport.Packed(2, 9 / 16.0), report.packing());
        assertEquals(new DataReport.Epoch(3, 9, 5, 2, "2 rows"), report.epoch());
        assertEquals(3, report.samples().size());
    }

    @Test
    @Tag("reference")
    void packedAlpacaRowsAreAtLeast98PercentFull() {
        Path rows = Shared.file("data/alpaca_en_demo.json");
        Tokenizer tokenizer = Tokenizer.load(Shared.file("reference/llama2-tokenizer"));
        for (int maxLength : new int[] {512, 2048}) {
            DataSettings settings = DataSettings.of(rows);
            TrainingData data =
                    TrainingData.load(settings, RowSettings.DEFAULT, EncodingSettings.ofLength(maxLength), tokenizer);
            StepPlan plan = StepPlan.of(data.train(), settings, new StepShape(16, 0, maxLength), maxLength, 42);
            for (long epoch : IntStream.range(0, 3).asLongStream().toArray()) {
                double full = (double) plan.tokensIn(epoch) / plan.packsIn(epoch) / maxLength;
                assertTrue(full >= 0.98, full + " full"); // measured: 0.9933 and 0.9976
            }
        }
    }
}
