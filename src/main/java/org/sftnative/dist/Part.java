package org.sftnative.dist;

/// The elements of a flat buffer that one rank has to itself: neighbours, from a multiple of 256. All
/// ranks have equally many, but for the last, which has the rest as well.
///
/// @param from first element
/// @param to one past the last
public record Part(long from, long to) {
    /// Blocks of 8-bit moments, and of random bits, are never cut.
    private static final int BLOCK = 256;

    /// @param n elements of the buffer
    public static Part of(long n, int rank, int size) {
        long each = each(n, size);
        return new Part(rank * each, rank == size - 1 ? n : (rank + 1) * each);
    }

    /// Elements of every rank but the last.
    static long each(long n, int size) {
        return n / size / BLOCK * BLOCK;
    }

    /// What two have in common; of no elements if that is nothing.
    public Part and(Part other) {
        long first = Math.max(from, other.from);
        return new Part(first, Math.max(first, Math.min(to, other.to)));
    }

    public long count() {
        return to - from;
    }
}
