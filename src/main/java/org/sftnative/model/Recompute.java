package org.sftnative.model;

/// What a block keeps for its backward pass, and what it computes again.
public enum Recompute {
    /// Keeps everything.
    NONE,
    /// Computes norms and SwiGLU again: no matrix product.
    SELECTIVE,
    /// Keeps the block's input and the attention's output: three matrix products run again, attention does not.
    FULL_KEEP_ATTENTION,
    /// Keeps the block's input only. down_proj never runs again: nothing in the backward pass needs its output.
    FULL
}
