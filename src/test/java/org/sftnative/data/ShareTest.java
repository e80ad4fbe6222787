package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ShareTest {
    private final Random random = new Random(4);

    @Test
    void everyRowIsOfOneRankAndKeepsItsPlace() {
        for (int size : new int[] {1, 2, 3, 7, 40}) {
            List<Document> rows = rows(24);
            List<Document> all = new ArrayList<>();
            for (int rank = 0; rank < size; rank++) {
                List<Document> mine = new Share(rank, size).of(rows);
                assertEquals(
                        mine.stream()
                                .sorted(Comparator.comparingInt(rows::indexOf))
                                .toList(),
                        mine);
                all.addAll(mine);
            }
            assertEquals(24, all.size());
            assertTrue(all.containsAll(rows));
        }
    }

    /// Alpaca's lengths are about lognormal, 30 to 512 tokens. With 4 rows a rank and more, ranks idle
    /// for less than 3%.
    @Test
    void ranksHaveAlikeTokens() {
        for (int size : new int[] {2, 4, 8, 64}) {
            for (int rowsPerRank : new int[] {8, 16}) {
                double mean = 0;
                double most = 0;
                for (int step = 0; step < 50; step++) {
                    List<Document> rows = rows(size * rowsPerRank);
                    int[] tokens = IntStream.range(0, size)
                            .map(rank -> new Share(rank, size)
                                    .of(rows).stream()
                                            .mapToInt(Document::length)
                                            .sum())
                            .toArray();
                    mean += IntStream.of(tokens).average().orElseThrow();
                    most += IntStream.of(tokens).max().orElseThrow();
                }
                double idle = 1 - mean / most;
                assertTrue(idle < 0.02, size + " ranks, " + rowsPerRank + " rows each: idle " + idle);
            }
        }
    }

    private List<Document> rows(int n) {
        return IntStream.range(0, n).mapToObj(this::row).toList();
    }

    private Document row(int index) {
        int length = (int) Math.clamp(Math.exp(5.1 + 0.6 * random.nextGaussian()), 30, 512);
        int[] labels = new int[length];
        labels[0] = Document.IGNORED;
        return new Document(index, new int[length], labels);
    }
}
