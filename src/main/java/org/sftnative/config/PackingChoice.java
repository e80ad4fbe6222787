package org.sftnative.config;

import java.util.Locale;

/// How rows share a step.
public enum PackingChoice {
    /// A step is a number of rows.
    NONE,
    /// Rows fill sequences of `max_length`, best fit decreasing.
    BFD;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
