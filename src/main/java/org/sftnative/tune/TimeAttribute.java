package org.sftnative.tune;

import java.util.Locale;

/// What a scheduler counts a trial's age in: the `time` of its reports.
public enum TimeAttribute {
    /// Passes over the rows; fractions too.
    EPOCH,
    /// Optimizer steps.
    STEP,
    /// Real tokens trained.
    TOKENS;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
