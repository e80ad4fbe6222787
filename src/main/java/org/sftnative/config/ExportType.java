package org.sftnative.config;

import java.util.Locale;

/// The type of an exported model's matrices; norms and biases are fp32.
public enum ExportType {
    F32,
    F16,
    BF16,
    /// Blocks of 32 in 8 bits with an fp16 scale each.
    Q8_0;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
