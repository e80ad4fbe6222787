package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;

/// An objective over the logits of label rows. It must be a sum over rows, so that chunks of rows and micro-batches add
/// up.
/// It runs under autograd: any differentiable ATen calls will do.
@FunctionalInterface
public interface LossFunction {
    /// @param logits (n, V) fp32
    /// @param targets (n) int64, every one a token id
    /// @return a scalar, fp32: the sum over the n rows
    Tensor sum(Tensor logits, Tensor targets);
}
