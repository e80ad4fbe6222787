package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.dataset;
import static org.sftnative.data.Fixtures.document;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.sftnative.config.CombineChoice;

class StepPlanTest {
    @Test
    void everyEpochIsAPermutation() {
        for (int rows : new int[] {1, 2, 3, 17, 1000}) {
            for (long epoch = 0; epoch < 5; epoch++) {
                int[] order = EpochOrder.shuffled(rows, 42, epoch);
                assertArrayEquals(
                        EpochOrder.identity(rows), Arrays.stream(order).sorted().toArray());
            }
        }
    }

    @Test
    void theOrderIsAFunctionOfSeedAndEpoch() {
        int[] order = EpochOrder.shuffled(100, 42, 3);
        assertArrayEquals(order, EpochOrder.shuffled(100, 42, 3));
        assertFalse(Arrays.equals(order, EpochOrder.shuffled(100, 42, 4)));
        assertFalse(Arrays.equals(order, EpochOrder.shuffled(100, 43, 3)));
        // a resumed run meets the order of the run that it resumes, whatever version wrote it
        assertEquals("[8, 6, 1, 7, 3, 4, 2, 9, 0, 5]", Arrays.toString(EpochOrder.shuffled(10, 42, 0)));
    }

    @Test
    void everyOrderIsAsLikelyAsAnother() {
        int[] counts = new int[24];
        for (int seed = 0; seed < 24_000; seed++) {
            int[] order = EpochOrder.shuffled(4, seed, 0);
            counts[rank(order)]++;
        }
        double chi2 = Arrays.stream(counts)
                .mapToDouble(c -> (c - 1000.0) * (c - 1000.0) / 1000)
                .sum();
        assertTrue(chi2 < 49.7, "23 degrees of freedom, one in a thousand: " + chi2);
    }

    private static int rank(int[] order) {
        int rank = 0;
        for (int i = 0; i < order.length; i++) {
            int at = i;
            rank = rank * (order.length - i)
                    + (int) IntStream.range(i + 1, order.length)
                            .filter(j -> order[j] < order[at])
                            .count();
        }
        return rank;
    }

    @Test
    void anEpochTrainsEveryRowOnceWhateverTheStepAndTheCut() {
        List<Document> documents = documents(53, new Random(1), 2, 60);
        for (int rowsPerStep : new int[] {1, 4, 16, 53, 100}) {
            for (int tokens : new int[] {1, 64, 300, 100_000}) {
                StepPlan plan = new StepPlan(dataset(documents), rowsPerStep, tokens, 7, true);
                assertEquals((53 + rowsPerStep - 1) / rowsPerStep, plan.stepsIn(0));
                for (long epoch = 0; epoch < 2; epoch++) {
                    List<Integer> seen = new ArrayList<>();
                    int rows = 0;
                    for (long s = 0; s < plan.stepsIn(0); s++) {
                        Step step = plan.step(epoch * plan.stepsIn(0) + s);
                        rows += step.rows();
                        checkStep(step, tokens, documents, seen);
                    }
                    assertEquals(53, rows);
                    assertEquals(53, seen.size());
                    assertEquals(53, new HashSet<>(seen).size());
                }
            }
        }
    }

    @Test
    void everyEpochOfARunHasAnOrderOfItsOwn() {
        List<Document> documents = documents(53, new Random(1), 2, 60);
        StepPlan plan = new StepPlan(dataset(documents), 8, 100_000, 7, true);
        long n = plan.stepsIn(0);
        long same = LongStream.range(0, n)
                .filter(s -> rows(plan.step(s)).equals(rows(plan.step(n + s))))
                .count();
        assertEquals(0, same, "steps with the same rows in both epochs");
    }

    /// Every document of the step is whole, and its targets are its labels shifted by one.
    private static void checkStep(Step step, int limit, List<Document> documents, List<Integer> seen) {
        int tokens = 0;
        int labels = 0;
        for (MicroBatch batch : step.microBatches()) {
            int[] cu = batch.cuSeqlens();
            assertEquals(0, cu[0]);
            assertEquals(batch.tokens(), cu[cu.length - 1]);
            assertTrue(batch.tokens() <= limit || cu.length == 2, "over the limit only alone");
            for (int d = 0; d + 1 < cu.length; d++) {
                int row = batch.inputIds()[cu[d]] / 1000;
                Document document = documents.get(row);
                seen.add(row);
                assertArrayEquals(document.inputIds(), Arrays.copyOfRange(batch.inputIds(), cu[d], cu[d + 1]));
                int[] shifted = Arrays.copyOfRange(document.labels(), 1, document.length() + 1);
                shifted[document.length() - 1] = Document.IGNORED; // nothing is predicted across documents
                assertArrayEquals(shifted, Arrays.copyOfRange(batch.targets(), cu[d], cu[d + 1]));
            }
            tokens += batch.tokens();
            labels += batch.labelTokens();
        }
        assertEquals(step.tokens(), tokens);
        assertEquals(step.labelTokens(), labels, "the shift loses no label");
    }

    @Test
    void aStepIsAFunctionOfItsNumber() {
        List<Document> documents = documents(37, new Random(2), 2, 40);
        StepPlan one = new StepPlan(dataset(documents), 8, 100, 5, true);
        StepPlan other = new StepPlan(dataset(documents), 8, 100, 5, true);
        List<Step> forward = IntStream.range(0, 12).mapToObj(one::step).toList();
        for (int i = 11; i >= 0; i--) {
            Step step = other.step(i);
            assertEquals(
                    forward.get(i).microBatches().size(), step.microBatches().size());
            for (int m = 0; m < step.microBatches().size(); m++) {
                assertArrayEquals(
                        forward.get(i).microBatches().get(m).inputIds(),
                        step.microBatches().get(m).inputIds());
            }
        }
    }

    @Test
    void theOrderOfTheFileIsKeptWithoutShuffling() {
        List<Document> documents = documents(10, new Random(3), 5, 6);
        StepPlan plan = new StepPlan(dataset(documents), 4, 1000, 5, false);
        for (long epoch = 0; epoch < 2; epoch++) {
            assertEquals(List.of(4, 5, 6, 7), rows(plan.step(epoch * 3 + 1)));
            assertEquals(List.of(8, 9), rows(plan.step(epoch * 3 + 2)));
        }
    }

    @Test
    void epochsAreCountedInRows() {
        StepPlan plan = new StepPlan(dataset(documents(10, new Random(3), 5, 6)), 4, 1000, 5, false);
        assertEquals(0.0, plan.epochAt(0));
        assertEquals(0.8, plan.epochAt(2));
        assertEquals(1.0, plan.epochAt(3));
        assertEquals(1.4, plan.epochAt(4), 1e-15);
        assertThrows(IllegalArgumentException.class, () -> new StepPlan(dataset(List.of()), 4, 1000, 5, false));
    }

    private static final List<StepShape> SHAPES = List.of(
            new StepShape(4, 0, 0),
            new StepShape(4, 0, 80),
            new StepShape(4, 200, 0),
            new StepShape(4, 1, 0),
            new StepShape(4, 200, 80));

    private static StepPlan plan(List<Document> documents, StepShape shape, boolean shuffle) {
        Dataset dataset = dataset(documents);
        return new StepPlan(dataset, shape, new Blend(dataset, CombineChoice.CONCATENATE, 7, shuffle), 100, 7, shuffle);
    }

    @Test
    void whateverAStepIsMadeOfAnEpochTrainsEveryRowOnce() {
        List<Document> documents = documents(153, new Random(1), 2, 60);
        for (StepShape shape : SHAPES) {
            for (boolean shuffle : new boolean[] {true, false}) {
                StepPlan plan = plan(documents, shape, shuffle);
                long step = 0;
                for (long epoch = 0; epoch < 4; epoch++) {
                    assertEquals(epoch, plan.epochAt(step), shape.toString());
                    List<Integer> seen = new ArrayList<>();
                    for (long end = step + plan.stepsIn(epoch); step < end; step++) {
                        assertEquals(step == end - plan.stepsIn(epoch) && step > 0, plan.endsEpoch(step));
                        checkStep(plan.step(step), 100, documents, seen);
                    }
                    assertEquals(
                            IntStream.range(0, 153).boxed().toList(),
                            seen.stream().sorted().toList());
                    assertEquals(step, plan.steps(epoch + 1), shape.toString());
                }
            }
        }
    }

    @Test
    void aStepIsAFunctionOfItsNumberInAnyOrderOfAsking() {
        List<Document> documents = documents(153, new Random(2), 2, 60);
        for (StepShape shape : SHAPES) {
            StepPlan forward = plan(documents, shape, true);
            int steps = (int) forward.steps(4);
            List<List<Integer>> expected = IntStream.range(0, steps)
                    .mapToObj(i -> rows(forward.step(i)))
                    .toList();
            List<Double> epochs =
                    IntStream.range(0, steps).mapToObj(forward::epochAt).toList();
            StepPlan other = plan(documents, shape, true);
            new Random(3).ints(200, 0, steps).forEach(i -> {
                assertEquals(expected.get(i), rows(other.step(i)), shape + ", step " + i);
                assertEquals(epochs.get(i), other.epochAt(i));
            });
            assertEquals(rows(plan(documents, shape, true).step(steps - 1)), expected.getLast(), "asked alone");
        }
    }

    @Test
    void aStepByTokensTakesRowsUntilTheNextWouldBeTooMuch() {
        List<Document> documents = documents(153, new Random(4), 2, 60);
        StepPlan plan = plan(documents, new StepShape(4, 200, 0), true);
        for (long epoch = 0; epoch < 3; epoch++) {
            int[] order = plan.documentsIn(epoch);
            long first = plan.steps(epoch);
            int at = 0;
            for (long s = first; s < plan.steps(epoch + 1); s++) {
                Step step = plan.step(s);
                assertTrue(step.tokens() <= 200);
                at += step.rows();
                assertTrue(at == order.length
                        || step.tokens() + documents.get(order[at]).length() > 200);
            }
            assertEquals(order.length, at);
        }
        plan(documents, new StepShape(4, 1, 0), true); // less than any row: one row a step
        assertEquals(153, plan(documents, new StepShape(4, 1, 0), true).stepsIn(0));
        assertTrue(
                LongStream.range(0, 8).map(plan::stepsIn).distinct().count() > 1,
                "no two epochs of these rows differ in steps: the test shows nothing");
    }

    @Test
    void aPackedStepHasBatchTimesAccumulationSequences() {
        List<Document> documents = documents(153, new Random(5), 2, 60);
        StepPlan plan = plan(documents, new StepShape(4, 0, 80), true);
        assertEquals(Math.ceilDiv(plan.packsIn(0), 4), plan.stepsIn(0));
        assertTrue(plan.tokensIn(0) > 0.95 * 80 * plan.packsIn(0));
        for (long s = 0; s + 1 < plan.stepsIn(0); s++) {
            assertTrue(plan.step(s).tokens() <= 4 * 80);
        }
        // sequences do not come longest rows first
        double first =
                LongStream.range(0, 5).mapToDouble(s -> plan.step(s).rows()).sum();
        double last = LongStream.range(plan.stepsIn(0) - 6, plan.stepsIn(0) - 1)
                .mapToDouble(s -> plan.step(s).rows())
                .sum();
        assertEquals(first, last, first / 2, "rows of the first five full steps and of the last");
    }

    @Test
    void partsOfEpochsAreRoundedUp() {
        List<Document> documents = documents(153, new Random(6), 2, 60);
        StepPlan rows = plan(documents, new StepShape(4, 0, 0), true);
        assertEquals(39, rows.steps(1));
        assertEquals(20, rows.steps(0.5));
        assertEquals(59, rows.steps(1.5)); // transformers: ceil(1.5 * 39)
        StepPlan tokens = plan(documents, new StepShape(4, 200, 0), true);
        assertEquals(tokens.stepsIn(0) + tokens.stepsIn(1) + (tokens.stepsIn(2) + 1) / 2, tokens.steps(2.5));
        assertEquals(1, tokens.steps(1e-9));
        assertFalse(tokens.endsEpoch(0));
    }

    @Test
    void theCutNeedsTheFewestMicroBatches() {
        Random random = new Random(4);
        int optimal = 0;
        for (int trial = 0; trial < 300; trial++) {
            List<Document> rows = documents(1 + random.nextInt(9), random, 2, 50);
            int bins = StepPlan.cut(rows, 100).size();
            int fewest = fewest(rows, new int[rows.size()], 0, 0, 100, rows.size());
            assertTrue(9 * bins <= 11 * fewest + 6, "Dósa's bound");
            optimal += bins == fewest ? 1 : 0;
        }
        assertTrue(optimal >= 297, "of 300 random steps: " + optimal);
    }

    /// Fewest bins by trying all.
    private static int fewest(List<Document> rows, int[] bins, int used, int next, int limit, int best) {
        if (used >= best && next < rows.size() || next == rows.size()) {
            return Math.min(used, best);
        }
        int length = rows.get(next).length();
        for (int bin = 0; bin <= used && bin < bins.length; bin++) {
            if (bins[bin] + length <= limit) {
                bins[bin] += length;
                best = Math.min(best, fewest(rows, bins, Math.max(used, bin + 1), next + 1, limit, best));
                bins[bin] -= length;
            }
        }
        return best;
    }

    @Test
    void theCutKeepsTheOrderOfRows() {
        List<List<Document>> cut = StepPlan.cut(
                List.of(document(0, 40), document(1, 90), document(2, 50), document(3, 10), document(4, 200)), 100);
        List<List<Integer>> rows = cut.stream()
                .map(bin -> bin.stream().map(Document::row).toList())
                .toList();
        assertEquals(List.of(List.of(0, 2), List.of(1, 3), List.of(4)), rows);
    }

    @Test
    void evaluationSeesEveryDocumentOnceInOrder() {
        List<Document> documents = documents(200, new Random(5), 2, 70);
        List<MicroBatch> batches = StepPlan.evaluation(dataset(documents), 128);
        List<Integer> seen = new ArrayList<>();
        for (MicroBatch batch : batches) {
            assertTrue(batch.tokens() <= 128);
            for (int d = 0; d + 1 < batch.cuSeqlens().length; d++) {
                seen.add(batch.inputIds()[batch.cuSeqlens()[d]] / 1000);
            }
        }
        assertEquals(IntStream.range(0, 200).boxed().toList(), seen);
        assertEquals(
                documents.stream().mapToInt(Document::labelTokens).sum(),
                batches.stream().mapToInt(MicroBatch::labelTokens).sum());
    }

    private static List<Integer> rows(Step step) {
        Set<Integer> rows = new HashSet<>();
        for (MicroBatch batch : step.microBatches()) {
            for (int d = 0; d + 1 < batch.cuSeqlens().length; d++) {
                rows.add(batch.inputIds()[batch.cuSeqlens()[d]] / 1000);
            }
        }
        return rows.stream().sorted().toList();
    }

    private static List<Document> documents(int count, Random random, int shortest, int longest) {
        return IntStream.range(0, count)
                .mapToObj(row -> document(row, shortest + random.nextInt(longest - shortest + 1)))
                .toList();
    }
}
