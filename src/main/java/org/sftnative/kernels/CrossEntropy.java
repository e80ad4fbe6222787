package org.sftnative.kernels;

/// Cross-entropy of a chunk of logits, forward and backward in one pass, in place.
public final class CrossEntropy {
    private static final int THREADS = 512;

    /// The longest row that a block holds in registers: one read and one write.
    private static final int SHORT = THREADS * 8 * Shape.GROUP;

    /// Blocks of a cluster that share a row, where they are at least three quarters full.
    private static final int CLUSTER = 4;

    private static final int OLDEST_WITH_CLUSTERS = 9;
    private final KernelFunction held;
    private final KernelFunction longRows;
    private final KernelFunction any;
    private final KernelFunction clustered;
    private final boolean hasClusters;

    CrossEntropy(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "crossentropy");
        held = module.function("cross_entropy", 7);
        longRows = module.function("cross_entropy_long", 7);
        any = module.function("cross_entropy_any", 7);
        hasClusters = card.major() >= OLDEST_WITH_CLUSTERS;
        clustered = hasClusters ? module.function("cross_entropy_4", 7) : longRows;
    }

    /// loss = logsumexp(z) - z[target]; logits = bf16((softmax(z) - onehot(target)) scale).
    ///
    /// @param logits (n, ld) bf16, of which V columns count: overwritten with their gradient, the rest with 0.
    ///     Rows are read 16 bytes at a time if ld is a multiple of 8 and logits are aligned: pad an odd V so.
    /// @param targets (n) int32, or int64 where `wideTargets`; a negative one gives loss 0 and gradient 0, one of
    ///     V or more gives loss NaN and gradient 0
    /// @param loss (n) fp32, written
    /// @param scale of the gradient: 1 / label tokens of the step
    public void forwardBackward(
            long logits,
            long targets,
            boolean wideTargets,
            long loss,
            int rows,
            int vocabulary,
            long ld,
            float scale,
            long stream) {
        Shape.require(vocabulary <= ld, "vocabulary " + vocabulary + " is above the row length " + ld);
        boolean vectors = Shape.vectors(ld, logits);
        boolean cluster = hasClusters && vectors && vocabulary > (CLUSTER - 1) * SHORT && vocabulary <= CLUSTER * SHORT;
        KernelFunction kernel = !vectors ? any : vocabulary <= SHORT ? held : cluster ? clustered : longRows;
        kernel.begin()
                .arg(logits)
                .arg(targets)
                .arg(wideTargets)
                .arg(loss)
                .arg(vocabulary)
                .arg(ld)
                .arg(scale)
                .launch(Math.multiplyExact(rows, cluster ? CLUSTER : 1), THREADS, stream);
    }
}
