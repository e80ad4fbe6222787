package org.sftnative.config;

import java.util.Locale;

/// What a block computes again in the backward pass instead of keeping it. `gradient_checkpointing` means `full`.
public enum RecomputeChoice {
    /// On a card, of each block the least that fits; `none` on a CPU; `full` with gradient_checkpointing.
    AUTO,
    /// Nothing.
    NONE,
    /// Norms and SwiGLU: no matrix product.
    SELECTIVE,
    /// All but attention, whose output is kept, and down_proj.
    FULL_KEEP_ATTENTION,
    /// All but down_proj.
    FULL,
    /// As full; blocks' inputs wait in the host's memory, two at a time excepted.
    OFFLOAD;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
