package org.sftnative.config;

import java.util.Locale;

/// What a scheduler counts a trial's age in.
public enum TuneTime {
    EPOCH,
    STEP,
    TOKENS;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
