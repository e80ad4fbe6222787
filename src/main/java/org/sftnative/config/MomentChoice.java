package org.sftnative.config;

import java.util.Locale;

/// How AdamW's two moments are kept. In a settings file: `auto`, `fp32`, `bf16`, `block8`.
public enum MomentChoice {
    /// fp32 where they fit beside the activations, else bf16, else blocks of 8 bits; on a CPU fp32.
    AUTO,
    /// 8 bytes a weight.
    FP32,
    /// 4 bytes a weight; the second is rounded stochastically, so that it can decay.
    BF16,
    /// 2 bytes a weight: blocks of 256 codes with a scale.
    BLOCK8;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
