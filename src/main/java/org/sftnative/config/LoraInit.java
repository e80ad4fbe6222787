package org.sftnative.config;

import java.util.Locale;

/// How adapters begin. In a settings file: `true`, `gaussian`, `pissa`, as PEFT's `init_lora_weights`.
public enum LoraInit {
    /// A uniform as a linear layer's (Kaiming), B zero.
    TRUE,
    /// A normal with standard deviation 1 / r, B zero.
    GAUSSIAN,
    /// A and B from the largest singular values of the weight, which are taken out of it (arXiv 2404.02948).
    PISSA;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
