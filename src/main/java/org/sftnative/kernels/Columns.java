package org.sftnative.kernels;

/// Sums over rows: gradients of biases, and the second stage of a norm's weight gradient. Deterministic.
public final class Columns {
    private static final int THREADS = 128;
    private static final int FINISH_COLUMNS = 32;
    private static final int FINISH_ROWS = 16;
    private final KernelFunction partials;
    private final KernelFunction partialsAny;
    private final KernelFunction finish;
    private final int multiprocessors;

    Columns(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "columns");
        partials = module.function("column_partials", 4);
        partialsAny = module.function("column_partials_any", 4);
        finish = module.function("column_finish", 6);
        multiprocessors = card.multiprocessors();
    }

    /// Bytes that [#sum] needs to work in, for rows of n.
    public long workspaceBytes(int n) {
        return 4L * slices(Integer.MAX_VALUE, n) * n;
    }

    /// out = beta out + the sum of the rows of x.
    ///
    /// @param x (T, n) bf16
    /// @param out (n), a gradient
    /// @param accumulate beta 1: add to out; else write it
    /// @param workspace [#workspaceBytes] of n, 16-byte aligned
    public void sum(
            long x, long out, int tokens, int n, GradientType type, boolean accumulate, long workspace, long stream) {
        int slices = slices(tokens, n);
        boolean vectors = Shape.vectors(n, x | workspace);
        (vectors ? partials : partialsAny)
                .begin()
                .arg(x)
                .arg(workspace)
                .arg(tokens)
                .arg(n)
                .launch(blocks(n), slices, THREADS, 1, stream);
        finish(workspace, out, slices, n, type, accumulate, stream);
    }

    /// out = beta out + the sum of the rows of partial (rows, n) fp32.
    void finish(long partial, long out, int rows, int n, GradientType type, boolean accumulate, long stream) {
        finish.begin()
                .arg(partial)
                .arg(out)
                .arg(rows)
                .arg(n)
                .arg(type == GradientType.FP32)
                .arg(accumulate)
                .launch(Shape.ceilDiv(n, FINISH_COLUMNS), 1, FINISH_COLUMNS, FINISH_ROWS, stream);
    }

    /// Row-slices, so that about 16 blocks an SM share the work.
    private int slices(int tokens, int n) {
        return Math.max(1, Math.min(tokens, 16 * multiprocessors / blocks(n)));
    }

    private static int blocks(int n) {
        return Math.max(1, Shape.ceilDiv(n, THREADS * Shape.GROUP));
    }
}
