package org.sftnative.kernels;

import java.util.List;

/// Cross-entropy of a chunk of logits, forward and backward in one pass, in place.
public final class CrossEntropy {
    /// The longest row that a block holds in registers: one read and one write.
    private static final int SHORT = 512 * 8 * Shape.GROUP;

    private static final int THREADS = 512;
    private static final int MOST_BLOCKS = 8;
    private final KernelFunction held;
    private final KernelFunction longRows;
    private final KernelFunction any;
    /// Rows shared by 2, 4 and 8 blocks; empty on cards without clusters.
    private final List<KernelFunction> shared;

    CrossEntropy(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "crossentropy");
        held = module.function("cross_entropy", 7);
        longRows = module.function("cross_entropy_long", 7);
        any = module.function("cross_entropy_any", 7);
        shared = card.major() < 9
                ? List.of()
                : List.of(
                        module.function("cross_entropy_2", 7),
                        module.function("cross_entropy_4", 7),
                        module.function("cross_entropy_8", 7));
    }

    /// loss = logsumexp(z) - z[target]; logits = bf16((softmax(z) - onehot(target)) scale).
    ///
    /// @param logits (n, ld) bf16, of which V columns count: overwritten with their gradient, the rest with 0.
    ///     Rows are read 16 bytes at a time if ld is a multiple of 8 and logits are aligned: pad an odd V so.
    /// @param targets (n) int32, or int64 where `wideTargets`; a negative one gives loss 0 and gradient 0, one of
    ///     V or more gives loss NaN
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
        int blocks = 1;
        KernelFunction kernel = !vectors ? any : vocabulary <= SHORT ? held : longRows;
        if (kernel == longRows && vocabulary <= MOST_BLOCKS * SHORT && !shared.isEmpty()) {
            blocks = vocabulary <= 2 * SHORT ? 2 : vocabulary <= 4 * SHORT ? 4 : MOST_BLOCKS;
            kernel = shared.get(Integer.numberOfTrailingZeros(blocks) - 1);
        }
        kernel.begin()
                .arg(logits)
                .arg(targets)
                .arg(wideTargets)
                .arg(loss)
                .arg(vocabulary)
                .arg(ld)
                .arg(scale)
                .launch(Math.multiplyExact(rows, blocks), THREADS, stream);
    }
}
