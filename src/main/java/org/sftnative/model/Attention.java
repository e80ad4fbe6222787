package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;

/// Who attends to whom. T new tokens, H query heads, K kv heads, D head size.
interface Attention {
    /// Causal attention of one block.
    ///
    /// @param layer which block
    /// @param q (T, H, D), rotated
    /// @param k (T, K, D), rotated
    /// @param v (T, K, D)
    /// @return (T, H, D)
    Tensor attend(int layer, Tensor q, Tensor k, Tensor v);
}
