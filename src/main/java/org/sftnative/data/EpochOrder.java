package org.sftnative.data;

/// The order of an epoch's rows: a pure function of (rows, seed, epoch), the same on every machine
/// and for any number of workers, so that a resumed run goes on exactly where it was.
///
/// Fisher-Yates from the last place down, each index drawn without bias from SplitMix64 (Steele,
/// Lea, Flood, "Fast splittable pseudorandom number generators", 2014), whose start is the mix of
/// seed and epoch.
public final class EpochOrder {
    private static final long GAMMA = 0x9E3779B97F4A7C15L;

    private EpochOrder() {}

    /// Rows of an epoch in the order of training.
    ///
    /// @param rows number of rows
    /// @param epoch from 0
    /// @return a permutation of 0 to rows - 1
    public static int[] shuffled(int rows, long seed, long epoch) {
        int[] order = identity(rows);
        long state = mix(mix(seed + GAMMA) + (epoch + 1) * GAMMA);
        for (int i = rows - 1; i > 0; i--) {
            long bound = i + 1;
            long draw;
            long value;
            do { // the last, incomplete run of `bound` values would favour small indices
                state += GAMMA;
                draw = mix(state) >>> 1;
                value = draw % bound;
            } while (draw - value + (bound - 1) < 0);
            int j = (int) value;
            int kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
        return order;
    }

    /// A seed for a purpose of its own: orders of another purpose have nothing in common with it.
    ///
    /// @param purpose from 1; 0 would be no more than the seed itself
    static long seedOf(long seed, long purpose) {
        return mix(seed ^ mix(purpose * GAMMA));
    }

    /// The order of the file.
    public static int[] identity(int rows) {
        int[] order = new int[rows];
        for (int i = 0; i < rows; i++) {
            order[i] = i;
        }
        return order;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
