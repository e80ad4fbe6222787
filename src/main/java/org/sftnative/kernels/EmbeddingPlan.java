package org.sftnative.kernels;

/// The tokens of a micro-batch sorted by id, on the host: segment s is id unique[s], at positions
/// order[starts[s]..starts[s + 1]), ascending.
///
/// @param order (T) token positions
/// @param starts (distinct ids + 1)
/// @param unique distinct ids, ascending
public record EmbeddingPlan(int[] order, int[] starts, int[] unique) {
    /// Sorts by counting, in time T + V.
    ///
    /// @param ids (T), each in [0, vocabulary)
    /// @throws IndexOutOfBoundsException if an id is not
    public static EmbeddingPlan of(int[] ids, int vocabulary) {
        int[] next = new int[vocabulary + 1];
        for (int id : ids) {
            next[id + 1]++;
        }
        int distinct = 0;
        for (int id = 0; id < vocabulary; id++) {
            distinct += next[id + 1] > 0 ? 1 : 0;
        }
        int[] starts = new int[distinct + 1];
        int[] unique = new int[distinct];
        int at = 0;
        for (int id = 0; id < vocabulary; id++) {
            if (next[id + 1] > 0) {
                unique[at] = id;
                starts[at + 1] = starts[at] + next[id + 1];
                at++;
            }
            next[id + 1] += next[id];
        }
        int[] order = new int[ids.length];
        for (int t = 0; t < ids.length; t++) {
            order[next[ids[t]]++] = t;
        }
        return new EmbeddingPlan(order, starts, unique);
    }
}
