package org.sftnative.config;

import java.util.Locale;

/// Which values of a study's metric are better.
public enum TuneMode {
    MIN,
    MAX;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
