package org.sftnative.config;

import java.util.Locale;

/// The file format of an exported model.
public enum ExportFormat {
    GGUF;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
