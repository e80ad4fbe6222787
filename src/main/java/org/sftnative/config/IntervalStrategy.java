package org.sftnative.config;

import java.util.Locale;

/// When something recurring happens: evaluation, saving.
public enum IntervalStrategy {
    /// Never.
    NO,
    /// Every so many steps.
    STEPS,
    /// At the end of each epoch.
    EPOCH;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
