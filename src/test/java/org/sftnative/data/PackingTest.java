package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PackingTest {
    private static final Packing.PackOrder IN_ORDER = (_, packs) -> EpochOrder.identity(packs);

    @Test
    void everyDocumentIsInOneSequenceAndNoSequenceIsOverfull() {
        Random random = new Random(1);
        for (int trial = 0; trial < 300; trial++) {
            int n = 1 + random.nextInt(200);
            int room = 2 + random.nextInt(100);
            int window = 1 + random.nextInt(80);
            int[] lengths = random.ints(n, 1, room + 10).toArray(); // some longer than a sequence
            int[] order = EpochOrder.shuffled(n, trial, 0);
            int seed = trial;
            Packing.Packs packs = Packing.bestFit(
                    order, i -> lengths[i], room, window, (w, count) -> EpochOrder.shuffled(count, seed, w));
            assertArrayEquals(
                    EpochOrder.identity(n),
                    Arrays.stream(packs.order()).sorted().toArray());
            assertEquals(0, packs.starts()[0]);
            assertEquals(n, packs.starts()[packs.count()]);
            for (int p = 0; p < packs.count(); p++) {
                int[] pack = Arrays.copyOfRange(packs.order(), packs.starts()[p], packs.starts()[p + 1]);
                int tokens = Arrays.stream(pack).map(i -> lengths[i]).sum();
                assertTrue(pack.length == 1 || pack.length > 1 && tokens <= room, Arrays.toString(pack));
            }
        }
    }

    @Test
    void asManySequencesAsTheTextbooksBestFitDecreasing() {
        Random random = new Random(2);
        for (int trial = 0; trial < 300; trial++) {
            int room = 10 + random.nextInt(300);
            int[] lengths = random.ints(1 + random.nextInt(300), 1, room + 1).toArray();
            int packs = Packing.bestFit(
                            EpochOrder.identity(lengths.length), i -> lengths[i], room, Integer.MAX_VALUE, IN_ORDER)
                    .count();
            assertEquals(textbook(lengths, room), packs);
        }
    }

    private static int textbook(int[] lengths, int room) {
        TreeMap<Integer, Integer> rooms = new TreeMap<>();
        int bins = 0;
        for (int length :
                IntStream.of(lengths).boxed().sorted(Comparator.reverseOrder()).toList()) {
            Integer fit = rooms.ceilingKey(length);
            if (fit == null) {
                bins++;
                fit = room;
            } else {
                rooms.computeIfPresent(fit, (_, count) -> count == 1 ? null : count - 1);
            }
            rooms.merge(fit - length, 1, Integer::sum);
        }
        return bins;
    }

    @Test
    void documentsKeepTheirOrderWithinASequenceAndSequencesThatOfTheirFirst() {
        int[] lengths = {3, 6, 5, 4, 2};
        Packing.Packs packs =
                Packing.bestFit(new int[] {4, 3, 2, 1, 0}, i -> lengths[i], 10, Integer.MAX_VALUE, IN_ORDER);
        // 6 and 4 fill one, 5 + 3 + 2 the other; document 4 is the first of the order
        assertArrayEquals(new int[] {4, 2, 0, 3, 1}, packs.order());
        assertArrayEquals(new int[] {0, 3, 5}, packs.starts());
    }

    @Test
    void aMillionDocumentsArePackedInSecondsAndFull() {
        int[] lengths = new int[1_000_000];
        Random random = new Random(3);
        Arrays.setAll(lengths, _ -> Math.clamp((int) Math.exp(4.4 + 0.7 * random.nextGaussian()), 10, 512));
        long began = System.nanoTime();
        Packing.Packs packs = Packing.bestFit(
                EpochOrder.shuffled(lengths.length, 1, 0), i -> lengths[i], 512, Packing.WINDOW, IN_ORDER);
        double seconds = (System.nanoTime() - began) / 1e9;
        double full = (double) Arrays.stream(lengths).asLongStream().sum() / packs.count() / 512;
        assertTrue(full > 0.995, full + " full"); // measured: 0.9991
        assertTrue(seconds < 10, seconds + " s"); // measured: 0.1 s
    }
}
