package org.sftnative.config;

import java.util.Locale;

/// In which order several files are trained.
public enum CombineChoice {
    /// One after another, before the epoch's shuffle.
    CONCATENATE,
    /// In turns, in proportion to their rows.
    INTERLEAVE;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
