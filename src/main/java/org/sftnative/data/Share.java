package org.sftnative.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/// The part of a step's rows that one of several ranks trains. Parts are alike in tokens: the longest
/// row first, each to the rank that has the fewest (Graham 1969: at most 4/3 of the best). Which rows a
/// step has does not depend on the ranks.
///
/// @param rank from 0
/// @param size ranks of the run
public record Share(int rank, int size) {
    /// Of a run of one process.
    public static final Share ALL = new Share(0, 1);

    public Share {
        if (rank < 0 || rank >= size) {
            throw new IllegalArgumentException("rank " + rank + " of " + size);
        }
    }

    /// This rank's rows, in the step's order; none if there are fewer rows than ranks.
    List<Document> of(List<Document> rows) {
        if (size == 1) {
            return rows;
        }
        List<Integer> longestFirst = IntStream.range(0, rows.size())
                .boxed()
                .sorted(Comparator.comparingInt((Integer row) -> -rows.get(row).length()))
                .toList();
        long[] tokens = new long[size];
        List<Integer> mine = new ArrayList<>();
        for (int row : longestFirst) {
            int least = 0;
            for (int other = 1; other < size; other++) {
                least = tokens[other] < tokens[least] ? other : least;
            }
            tokens[least] += rows.get(row).length();
            if (least == rank) {
                mine.add(row);
            }
        }
        return mine.stream().sorted().map(rows::get).toList();
    }
}
