package org.sftnative.data;

import java.util.Arrays;
import java.util.BitSet;
import java.util.function.IntUnaryOperator;

/// Whole documents packed into sequences by best-fit decreasing: the longest first, each into the
/// fullest sequence that still has room for it. Needs at most 11/9 of the fewest sequences and a
/// little (Johnson 1974); on documents that are short beside a sequence, nearly always the fewest.
///
/// Documents are packed within windows of the epoch's order, so that work and locality are bounded.
/// The sequences of a window are then put in an order of their own: as they come out of the
/// packing, the long documents come first.
final class Packing {
    /// Documents that are packed together: enough of them to fill the gaps of one another.
    static final int WINDOW = 1 << 16;

    private Packing() {}

    /// Sequences of documents.
    ///
    /// @param order (documents) the documents of all sequences, one sequence after another
    /// @param starts (sequences + 1) where in `order` each sequence begins, then the number of
    ///     documents
    record Packs(int[] order, int[] starts) {
        int count() {
            return starts.length - 1;
        }
    }

    /// Orders the sequences of a window.
    interface PackOrder {
        /// @param window number of the window, from 0
        /// @param packs its sequences, numbered by their first document
        /// @return a permutation of 0 to packs - 1
        int[] of(int window, int packs);
    }

    /// @param order documents in the order of the epoch
    /// @param length tokens of a document
    /// @param room most tokens of a sequence; a longer document is a sequence by itself
    static Packs bestFit(int[] order, IntUnaryOperator length, int room, int window, PackOrder packOrder) {
        int[] packed = new int[order.length];
        int[] starts = new int[order.length + 1];
        int packs = 0;
        int at = 0;
        for (int from = 0, number = 0; from < order.length; from += window, number++) {
            int to = (int) Math.min((long) from + window, order.length);
            int[] bins = bins(order, from, to, length, room);
            int count = Arrays.stream(bins).max().getAsInt() + 1;
            int[] documents = new int[count + 1]; // where each bin begins, counted up from its size
            for (int bin : bins) {
                documents[bin + 1]++;
            }
            Arrays.parallelPrefix(documents, Integer::sum);
            int[] sorted = new int[bins.length];
            int[] next = documents.clone();
            for (int i = 0; i < bins.length; i++) {
                sorted[next[bins[i]]++] = order[from + i];
            }
            for (int bin : packOrder.of(number, count)) {
                starts[packs++] = at;
                int size = documents[bin + 1] - documents[bin];
                System.arraycopy(sorted, documents[bin], packed, at, size);
                at += size;
            }
        }
        starts[packs] = at;
        return new Packs(packed, Arrays.copyOf(starts, packs + 1));
    }

    /// The bin of each document of a window; bins are numbered by their first document.
    private static int[] bins(int[] order, int from, int to, IntUnaryOperator length, int room) {
        int n = to - from;
        int[] lengths = new int[n];
        int[] ofLength = new int[room + 2]; // counting sort, longest first, equal ones in the epoch's order
        for (int i = 0; i < n; i++) {
            lengths[i] = Math.min(length.applyAsInt(order[from + i]), room);
            ofLength[room - lengths[i] + 1]++;
        }
        Arrays.parallelPrefix(ofLength, Integer::sum);
        int[] longestFirst = new int[n];
        for (int i = 0; i < n; i++) {
            longestFirst[ofLength[room - lengths[i]]++] = i;
        }

        int[] bins = new int[n];
        int count = 0;
        BitSet rooms = new BitSet(room + 1); // rooms that some bin has; the next set bit is the best fit
        int[] top = new int[room + 1]; // of each room a stack of bins
        int[] below = new int[n];
        for (int document : longestFirst) {
            int fit = rooms.nextSetBit(lengths[document]);
            int bin;
            int left;
            if (fit < 0) {
                bin = count++;
                left = room - lengths[document];
            } else {
                bin = top[fit] - 1;
                top[fit] = below[bin];
                rooms.set(fit, top[fit] != 0);
                left = fit - lengths[document];
            }
            bins[document] = bin;
            below[bin] = top[left];
            top[left] = bin + 1; // 0 is the empty stack
            rooms.set(left);
        }
        return renumbered(bins, count);
    }

    private static int[] renumbered(int[] bins, int count) {
        int[] number = new int[count];
        Arrays.fill(number, -1);
        int next = 0;
        for (int i = 0; i < bins.length; i++) {
            if (number[bins[i]] < 0) {
                number[bins[i]] = next++;
            }
            bins[i] = number[bins[i]];
        }
        return bins;
    }
}
