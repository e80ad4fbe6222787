package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Tensors;

/// The gradient of the head, which comes in chunks of rows: summed in fp32, rounded once. One object a micro-batch.
final class HeadGradient {
    private final Tensor target;
    private final boolean narrow;
    private final boolean fresh;
    private final Ops ops;
    private final Tensor wide;
    private boolean first;

    /// @param target (V, C), written or added to
    /// @param fresh whether this is the first micro-batch of its step
    HeadGradient(Tensor target, boolean fresh, Ops ops) {
        this.target = target;
        this.narrow = !Tensors.is(target, ScalarType.Float);
        this.fresh = fresh;
        this.ops = ops;
        this.wide = narrow ? Tensors.empty(ScalarType.Float, target.device(), target.shape()) : target;
        this.first = narrow || fresh;
    }

    /// Adds dLogits^T @ rows.
    ///
    /// @param dLogits (n, V)
    /// @param rows (n, C)
    void add(Tensor dLogits, Tensor rows) {
        ops.matmul(Ops.Form.TN, dLogits, rows, wide, !first);
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
