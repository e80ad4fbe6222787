package org.sftnative.config;

import java.util.Locale;

/// The element type of weights that are written, spelled as in `config.json`.
public enum WeightDtype {
    FLOAT32,
    BFLOAT16,
    FLOAT16;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
