package org.sftnative.config;

import java.util.Locale;

/// What becomes of a row longer than `max_length`.
public enum OverlongChoice {
    /// Its first tokens are kept.
    TRUNCATE,
    /// It is left out.
    DROP,
    /// It becomes several documents.
    SPLIT,
    /// The run is refused.
    ERROR;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
