package org.sftnative.config;

import java.util.Locale;

/// What stops weak trials early.
public enum TuneScheduler {
    ASHA,
    MEDIAN,
    NONE;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
