package org.sftnative.kernels;

/// Sizes of launches.
final class Shape {
    static final int GROUP = 8;
    private static final int WARP = 32;
    /// Rows of a grid's second axis.
    static final int MAX_GRID_Y = 65_535;

    private Shape() {}

    static int ceilDiv(long a, long b) {
        return Math.toIntExact((a + b - 1) / b);
    }

    /// Threads rounded up to whole warps, within bounds.
    static int warps(int threads, int most) {
        return Math.min(most, Math.max(WARP, ceilDiv(threads, WARP) * WARP));
    }

    /// True if rows of n elements of 2 or 4 bytes at these addresses can be read 16 bytes at a time.
    static boolean vectors(long n, long addresses) {
        return n % GROUP == 0 && (addresses & 15) == 0;
    }

    /// Threads of a block that walks along a row of n elements, 8 a thread, so that few idle.
    static int rowThreads(int n, int most) {
        int groups = ceilDiv(n, GROUP);
        int blocks = ceilDiv(groups, most);
        return warps(ceilDiv(groups, blocks), most);
    }

    static void require(boolean holds, String message) {
        if (!holds) {
            throw new IllegalArgumentException(message);
        }
    }
}
