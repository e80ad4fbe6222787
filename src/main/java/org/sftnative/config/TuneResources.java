package org.sftnative.config;

import java.util.Locale;

/// Who says how many trials run at a time.
public enum TuneResources {
    GIVEN,
    AUTO;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
