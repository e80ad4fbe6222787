package org.sftnative.config;

import java.util.Locale;

/// How bf16 weights are kept between updates. In a settings file: `split`, `stochastic`, `none`.
public enum MasterChoice {
    /// The low halves of fp32 masters beside the weights, 2 bytes each: no update is lost.
    SPLIT,
    /// Rounded stochastically: right on average, nothing kept.
    STOCHASTIC,
    /// Rounded to nearest: small updates are lost, as in the tutorial.
    NONE;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
