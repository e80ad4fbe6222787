package org.sftnative.config;

import java.util.Locale;

/// What chooses the settings of trials.
public enum TuneSearcher {
    RANDOM,
    GRID,
    TPE;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
