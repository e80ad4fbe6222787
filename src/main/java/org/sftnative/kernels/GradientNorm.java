package org.sftnative.kernels;

/// The 2-norm of flat buffers and the clip factor made of it, on the device. Deterministic, the same on every card.
public final class GradientNorm {
    /// Bytes of what [#clip] writes: {norm, factor, finite as 1 or 0, 0}, fp32.
    public static final int CLIP_BYTES = 16;

    private static final int BLOCKS = 1056;
    private static final int THREADS = 512;
    private final KernelFunction squaresBf16;
    private final KernelFunction squaresFloat;
    private final KernelFunction finish;
    private final KernelFunction clip;
    private final KernelFunction sum;

    GradientNorm(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "norm");
        squaresBf16 = module.function("squares_bf16", 3);
        squaresFloat = module.function("squares_float", 3);
        finish = module.function("squares_finish", 4);
        clip = module.function("clip_factor", 3);
        sum = module.function("sum_floats", 4);
    }

    /// Bytes that [#squares] needs to work in.
    public long workspaceBytes() {
        return 8L * BLOCKS;
    }

    /// sumsq = beta sumsq + the sum of x^2, in fp64 (eight squares at a time in fp32).
    ///
    /// @param x (n), 16-byte aligned
    /// @param sumsq one fp64
    /// @param accumulate beta 1: several buffers make one norm
    /// @param workspace [#workspaceBytes]
    public void squares(
            long x, GradientType type, long n, long sumsq, boolean accumulate, long workspace, long stream) {
        Shape.require((x & 15) == 0, "a flat buffer must be 16-byte aligned");
        (type == GradientType.FP32 ? squaresFloat : squaresBf16)
                .begin()
                .arg(x)
                .arg(n)
                .arg(workspace)
                .launch(BLOCKS, THREADS, stream);
        finish.begin().arg(workspace).arg(BLOCKS).arg(sumsq).arg(accumulate).launch(1, 32, stream);
    }

    /// norm = sqrt(sumsq); factor = min(1, maxNorm / (norm + 1e-6)), or 1 if maxNorm is not positive; finite.
    ///
    /// @param sumsq one fp64
    /// @param result [#CLIP_BYTES], written: what [AdamW] reads
    public void clip(long sumsq, float maxNorm, long result, long stream) {
        clip.begin().arg(sumsq).arg(maxNorm).arg(result).launch(1, 1, stream);
    }

    /// out = beta out + the sum of x, in fp64: the losses of a chunk.
    ///
    /// @param x (n) fp32
    /// @param out one fp64
    public void sum(long x, long n, long out, boolean accumulate, long stream) {
        sum.begin().arg(x).arg(n).arg(out).arg(accumulate).launch(1, 1024, stream);
    }
}
