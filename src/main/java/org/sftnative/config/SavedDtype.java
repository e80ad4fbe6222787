package org.sftnative.config;

import java.util.Locale;

/// The element type of a merged model's weights, in the words of `precision`.
public enum SavedDtype {
    FP32,
    BF16,
    FP16;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
