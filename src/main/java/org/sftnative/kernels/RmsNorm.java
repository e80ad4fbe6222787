package org.sftnative.kernels;

/// RMSNorm with the residual add before it, and its gradient with what flows past it. Rounding as transformers'
/// LlamaRMSNorm: the normalised value to bf16, then times w, to bf16. Source: arXiv 1910.07467, eq. 4.
public final class RmsNorm {
    /// The widest row that a block holds in registers.
    public static final int MAX_WIDTH = 32_768;

    /// Threads of the backward kernel an SM holds, at its 80 registers each.
    private static final int THREADS_PER_SM = 768;

    private static final int MOST_BLOCKS_PER_SM = 16;
    private final Columns columns;
    private final int multiprocessors;
    private final KernelFunction forward1;
    private final KernelFunction forward2;
    private final KernelFunction forward4;
    private final KernelFunction forwardWide;
    private final KernelFunction forwardAny;
    private final KernelFunction backward1;
    private final KernelFunction backward2;
    private final KernelFunction backwardWide;
    private final KernelFunction backwardWidest;
    private final KernelFunction backwardAny;
    private final KernelFunction again;
    private final KernelFunction againAny;

    RmsNorm(KernelModule.Card card, Columns columns) {
        this.columns = columns;
        multiprocessors = card.multiprocessors();
        KernelModule module = KernelModule.load(card, "rmsnorm");
        forward1 = module.function("rmsnorm_forward_1", 9);
        forward2 = module.function("rmsnorm_forward_2", 9);
        forward4 = module.function("rmsnorm_forward_4", 9);
        forwardWide = module.function("rmsnorm_forward_wide", 9);
        forwardAny = module.function("rmsnorm_forward_any", 9);
        backward1 = module.function("rmsnorm_backward_1", 10);
        backward2 = module.function("rmsnorm_backward_2", 10);
        backwardWide = module.function("rmsnorm_backward_wide", 10);
        backwardWidest = module.function("rmsnorm_backward_widest", 10);
        backwardAny = module.function("rmsnorm_backward_any", 10);
        again = module.function("rmsnorm_again", 5);
        againAny = module.function("rmsnorm_again_any", 5);
    }

    /// residual = bf16(x + delta), rstd = 1 / sqrt(mean(residual^2) + eps), y = bf16(bf16(residual rstd) w).
    ///
    /// @param x (T, C); with `rows`, (any, C)
    /// @param delta like x, or 0: residual = x
    /// @param weight (C)
    /// @param rows (T) int32, or 0: output row t is made of row rows[t] of x and delta
    /// @param residual (T, C), written; 0 if it is not wanted; may be x or delta where there are no rows
    /// @param y (T, C), written
    /// @param rstd (T) fp32, written
    /// @throws IllegalArgumentException if C is above [#MAX_WIDTH]
    public void forward(
            long x,
            long delta,
            long weight,
            long rows,
            long residual,
            long y,
            long rstd,
            int tokens,
            int width,
            float eps,
            long stream) {
        requireWidth(width);
        int groups = Shape.ceilDiv(width, Shape.GROUP);
        boolean vectors = Shape.vectors(width, x | delta | weight | residual | y);
        int each = groups <= 32 ? 1 : groups <= 64 ? 2 : 4;
        KernelFunction kernel = !vectors
                ? forwardAny
                : each == 1 ? forward1 : each == 2 ? forward2 : groups <= 1024 ? forward4 : forwardWide;
        int threads = Shape.warps(Shape.ceilDiv(groups, vectors ? each : 4), 1024);
        kernel.begin()
                .arg(x)
                .arg(delta)
                .arg(weight)
                .arg(rows)
                .arg(residual)
                .arg(y)
                .arg(rstd)
                .arg(width)
                .arg(eps)
                .launch(tokens, threads, stream);
    }

    /// y of [#forward] again, from the kept rstd.
    ///
    /// @param x (T, C), the residual
    /// @param y (T, C), written
    public void again(long x, long weight, long rstd, long y, int tokens, int width, long stream) {
        boolean vectors = Shape.vectors(width, x | weight | y);
        (vectors ? again : againAny)
                .begin()
                .arg(x)
                .arg(weight)
                .arg(rstd)
                .arg(y)
                .arg(width)
                .launch(tokens, Shape.rowThreads(width, 512), stream);
    }

    /// Bytes that [#backward] needs to work in.
    public long workspaceBytes(int width) {
        return 4L * backwardBlocks(width) * width;
    }

    /// dx = bf16(dResidual + gradient of the norm), dWeight = beta dWeight + sum over rows of dy n. Deterministic on
    /// cards with the same number of multiprocessors.
    ///
    /// @param dy (T, C)
    /// @param residual (T, C), the norm's input
    /// @param dResidual (T, C): the gradient that flows past the norm, or 0: none
    /// @param rows (T) int32, or 0: row t of dx is row rows[t]; the others are left alone
    /// @param dx (T, C), written; may be dResidual or dy where there are no rows
    /// @param dWeight (C), or 0: not wanted
    /// @param accumulate beta 1: add to dWeight; else write it
    /// @param workspace [#workspaceBytes], 16-byte aligned
    public void backward(
            long dy,
            long residual,
            long weight,
            long rstd,
            long dResidual,
            long rows,
            long dx,
            long dWeight,
            GradientType type,
            boolean accumulate,
            long workspace,
            int tokens,
            int width,
            long stream) {
        requireWidth(width);
        int groups = Shape.ceilDiv(width, Shape.GROUP);
        boolean vectors = Shape.vectors(width, dy | residual | weight | dResidual | dx | workspace);
        KernelFunction kernel = !vectors
                ? backwardAny
                : groups > 1024 ? backwardWidest : groups > 512 ? backwardWide : groups > 64 ? backward2 : backward1;
        int threads = backwardThreads(groups, vectors);
        int blocks = Math.min(tokens, backwardBlocks(width));
        kernel.begin()
                .arg(dy)
                .arg(residual)
                .arg(weight)
                .arg(rstd)
                .arg(dResidual)
                .arg(rows)
                .arg(dx)
                .arg(dWeight == 0 ? 0L : workspace)
                .arg(tokens)
                .arg(width)
                .launch(blocks, threads, stream);
        if (dWeight != 0) {
            columns.finish(workspace, dWeight, blocks, width, type, accumulate, stream);
        }
    }

    /// Blocks that the card holds at once: each keeps a row of partial sums.
    private int backwardBlocks(int width) {
        int threads = backwardThreads(Shape.ceilDiv(width, Shape.GROUP), true);
        return multiprocessors * Math.clamp(THREADS_PER_SM / threads, 1, MOST_BLOCKS_PER_SM);
    }

    private static int backwardThreads(int groups, boolean vectors) {
        int each = !vectors || groups > 1024 ? 4 : groups > 64 ? 2 : 1;
        return Shape.warps(Shape.ceilDiv(groups, each), 1024);
    }

    private static void requireWidth(int width) {
        Shape.require(width <= MAX_WIDTH, "hidden size " + width + " is above " + MAX_WIDTH);
    }
}
