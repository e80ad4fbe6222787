package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.document;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sftnative.config.CombineChoice;

class BlendTest {
    /// Files of so many documents each, and after them mixed sets with their shares.
    private static Dataset dataset(List<Integer> files, List<Integer> sets, List<Double> shares) {
        List<Dataset.Source> sources = new ArrayList<>();
        List<Dataset.Mix> mixes = new ArrayList<>();
        int at = 0;
        for (int rows : files) {
            sources.add(new Dataset.Source(Path.of("file" + at), "rows", at, rows, 0, 0));
            at += rows;
        }
        for (int s = 0; s < sets.size(); s++) {
            sources.add(new Dataset.Source(Path.of("set" + at), "rows", at, sets.get(s), 0, 0));
            mixes.add(new Dataset.Mix(Path.of("set" + at), at, shares.get(s)));
            at += sets.get(s);
        }
        List<Document> documents =
                IntStream.range(0, at).mapToObj(i -> document(i, 3)).toList();
        return new Dataset(documents, sources, mixes, new Dataset.Report(at, 3L * at, 2L * at, 0, List.of()));
    }

    @ParameterizedTest
    @EnumSource(CombineChoice.class)
    void everyEpochHasEveryDocumentOfTheFilesOnceAndEachMixItsShare(CombineChoice combine) {
        Random random = new Random(1);
        for (int trial = 0; trial < 60; trial++) {
            List<Integer> files = List.of(1 + random.nextInt(300), 1 + random.nextInt(50));
            List<Integer> sets = List.of(1 + random.nextInt(100), 1 + random.nextInt(1000));
            List<Double> shares = List.of(0.4 * random.nextDouble() + 0.01, 0.5 * random.nextDouble() + 0.01);
            int trained = files.get(0) + files.get(1);
            Blend blend = new Blend(dataset(files, sets, shares), combine, trial, trial % 3 > 0);
            for (long epoch = 0; epoch < 4; epoch++) {
                int[] order = blend.order(epoch);
                assertEquals(blend.size(), order.length);
                assertArrayEquals(
                        EpochOrder.identity(trained),
                        Arrays.stream(order).filter(i -> i < trained).sorted().toArray());
                int first = trained;
                for (int s = 0; s < 2; s++) {
                    int from = first;
                    int to = from + sets.get(s);
                    long taken = Arrays.stream(order)
                            .filter(i -> i >= from && i < to)
                            .count();
                    assertEquals(shares.get(s) * order.length, taken, 1.5, "documents of set " + s);
                    first = to;
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CombineChoice.class)
    void noMixedDocumentComesAgainBeforeAllHaveCome(CombineChoice combine) {
        for (int size : new int[] {3, 40, 97, 1000}) {
            Blend blend = new Blend(dataset(List.of(60), List.of(size), List.of(0.4)), combine, 5, true);
            int take = blend.taken().getFirst();
            assertEquals(40, take);
            int[] times = new int[size];
            for (long epoch = 0; epoch < 50; epoch++) {
                Arrays.stream(blend.order(epoch)).filter(i -> i >= 60).forEach(i -> times[i - 60]++);
                long given = (epoch + 1) * take;
                int least = Arrays.stream(times).min().getAsInt();
                int most = Arrays.stream(times).max().getAsInt();
                assertEquals(given / size, least);
                assertEquals((given + size - 1) / size, most);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(CombineChoice.class)
    void theOrderIsAFunctionOfSeedAndEpoch(CombineChoice combine) {
        Dataset dataset = dataset(List.of(50, 30), List.of(20), List.of(0.2));
        Blend blend = new Blend(dataset, combine, 7, true);
        int[] fourth = blend.order(3);
        blend.order(0);
        assertArrayEquals(fourth, blend.order(3));
        assertArrayEquals(fourth, new Blend(dataset, combine, 7, true).order(3));
        assertFalse(Arrays.equals(fourth, new Blend(dataset, combine, 8, true).order(3)));
        assertFalse(Arrays.equals(fourth, blend.order(2)));
    }

    @Test
    void withoutMixesTheOrderIsThatOfTheShuffle() {
        Blend blend = new Blend(dataset(List.of(50, 30), List.of(), List.of()), CombineChoice.CONCATENATE, 7, true);
        assertArrayEquals(EpochOrder.shuffled(80, 7, 2), blend.order(2));
    }

    @Test
    void interleavedFilesComeInProportionAllTheWay() {
        for (boolean shuffle : new boolean[] {true, false}) {
            Dataset dataset = dataset(List.of(300, 100), List.of(50), List.of(0.2));
            int[] order = new Blend(dataset, CombineChoice.INTERLEAVE, 7, shuffle).order(1);
            assertEquals(500, order.length);
            for (int end = 1; end <= 500; end++) {
                int[] start = Arrays.copyOf(order, end);
                double second =
                        Arrays.stream(start).filter(i -> i >= 300 && i < 400).count();
                double mixed = Arrays.stream(start).filter(i -> i >= 400).count();
                assertEquals(end / 5.0, second, 1.01, "of the second file among the first " + end);
                assertEquals(end / 5.0, mixed, 1.01, "mixed in among the first " + end);
            }
        }
    }

    @Test
    void unshuffledFilesKeepTheirOrderAndMixedDocumentsGoOn() {
        Dataset dataset = dataset(List.of(2, 2), List.of(3), List.of(1 / 3.0));
        Blend blend = new Blend(dataset, CombineChoice.CONCATENATE, 7, false);
        assertArrayEquals(new int[] {0, 4, 1, 2, 5, 3}, blend.order(0));
        assertArrayEquals(new int[] {0, 6, 1, 2, 4, 3}, blend.order(1));
        assertTrue(blend.taken().equals(List.of(2)));
    }
}
