package org.sftnative.template;

/// Where the characters of a string come from, in runs: bit 0 is set for text of a row, the bits above it
/// number the generation block that wrote the character (0: none). Indices are UTF-16 offsets.
///
/// @param ends where each run ends, exclusive, ascending; empty if the whole string is one run
/// @param kinds each run's bits; one entry if `ends` is empty
record Marks(int[] ends, int[] kinds) {
    static final int ROW_BIT = 1;
    static final Marks TEMPLATE = uniform(0);
    static final Marks ROW = uniform(ROW_BIT);

    static Marks uniform(int kind) {
        return new Marks(new int[0], new int[] {kind});
    }

    boolean isUniform() {
        return ends.length == 0;
    }

    /// The run that holds character `index`.
    int run(int index) {
        if (isUniform()) {
            return 0;
        }
        int low = 0;
        int high = ends.length - 1;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ends[middle] > index) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    int at(int index) {
        return kinds[run(index)];
    }

    /// Bits for a text made of this one in a way that does not tell which character became which: text of a
    /// row if any character was.
    int blurred() {
        int kind = kinds[0];
        for (int k : kinds) {
            kind = (kind & ~ROW_BIT) == (k & ~ROW_BIT) ? kind | k : (kind | k) & ROW_BIT;
        }
        return kind;
    }
}
