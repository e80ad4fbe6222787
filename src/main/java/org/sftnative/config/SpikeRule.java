package org.sftnative.config;

import java.util.Locale;

/// How a spike is told from the ordinary. In a settings file: `ratio`, `sigma`.
public enum SpikeRule {
    /// A loss beyond a multiple of the window's median, or a gradient norm beyond a fixed number.
    RATIO,
    /// A loss or a gradient norm beyond so many robust standard deviations above the window's median.
    SIGMA;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
