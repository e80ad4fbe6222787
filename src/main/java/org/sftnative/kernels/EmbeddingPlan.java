package org.sftnative.kernels;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/// The tokens of a micro-batch sorted by id, on the host: segment s is id unique[s], at positions
/// order[starts[s]..starts[s + 1]), ascending. Frequent ids come first, so that the longest sums start first.
///
/// @param order (T) token positions
/// @param starts (distinct ids + 1)
/// @param unique distinct ids, by falling count, then rising id
/// @param frequent how many of them occur more than [#OFTEN] times
public record EmbeddingPlan(int[] order, int[] starts, int[] unique, int frequent) {
    /// Tokens of an id above which several threads share its sums.
    static final int OFTEN = 32;

    /// Sorts by counting, in time T + V and a sort of the distinct ids.
    ///
    /// @param ids (T), each in [0, vocabulary)
    /// @throws IndexOutOfBoundsException if an id is not
    public static EmbeddingPlan of(int[] ids, int vocabulary) {
        int[] counts = new int[vocabulary];
        for (int id : ids) {
            counts[id]++;
        }
        int[] unique = IntStream.range(0, vocabulary)
                .filter(id -> counts[id] > 0)
                .boxed()
                .sorted(Comparator.comparingInt(id -> -counts[id]))
                .mapToInt(Integer::intValue)
                .toArray();
        int[] starts = new int[unique.length + 1];
        int[] next = new int[vocabulary];
        for (int s = 0; s < unique.length; s++) {
            next[unique[s]] = starts[s];
            starts[s + 1] = starts[s] + counts[unique[s]];
        }
        int[] order = new int[ids.length];
        for (int t = 0; t < ids.length; t++) {
            order[next[ids[t]]++] = t;
        }
        int frequent =
                (int) Arrays.stream(unique).filter(id -> counts[id] > OFTEN).count();
        return new EmbeddingPlan(order, starts, unique, frequent);
    }
}
