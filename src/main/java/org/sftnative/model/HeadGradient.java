package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Tensors;

/// The gradient of the head, which comes in chunks of rows: summed in fp32, rounded once. One object a micro-batch.
final class HeadGradient {
    private final Tensor target;
    private final boolean narrow;
    private final boolean fresh;
    private final Tensor wide;
    private boolean first;

    /// @param target (V, C), written or added to
    /// @param fresh whether this is the first micro-batch of its step
    HeadGradient(Tensor target, boolean fresh) {
        this.target = target;
        this.narrow = !Tensors.is(target, ScalarType.Float);
        this.fresh = fresh;
        this.wide = narrow ? Tensors.empty(ScalarType.Float, target.device(), target.shape()) : target;
        this.first = narrow || fresh;
    }

    /// Adds dLogits^T @ rows.
    ///
    /// @param dLogits (n, V)
    /// @param rows (n, C)
    void add(Tensor dLogits, Tensor rows) {
        if (narrow && !target.is_cuda()) {
            Tensor product = torch.mm(dLogits.to(ScalarType.Float).t(), rows.to(ScalarType.Float));
            wide.copy_(first ? product : wide.add(product));
        } else if (narrow) {
            if (first) {
                torch.mm_out(wide, dLogits.t(), rows, ScalarType.Float);
            } else {
                torch.addmm_out(wide, wide, dLogits.t(), rows, ScalarType.Float);
            }
        } else if (first && Tensors.is(rows, ScalarType.Float)) {
            torch.mm_out(wide, dLogits.t(), rows);
        } else {
            if (first) {
                wide.zero_();
            }
            WideGemm.add(wide, dLogits, rows);
        }
        first = false;
    }

    /// All chunks are there.
    void finish() {
        if (narrow && fresh) {
            target.copy_(wide);
        } else if (narrow) {
            target.add_(wide);
        }
    }
}
