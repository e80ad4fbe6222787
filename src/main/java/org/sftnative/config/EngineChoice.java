package org.sftnative.config;

import java.util.Locale;

/// What computes forward and backward. In a settings file: `auto`, `fused`, `reference`.
public enum EngineChoice {
    /// `fused` where it knows the precision (fp32, bf16), else `reference`.
    AUTO,
    /// `LlamaEngine`: forward and backward written out, in planned buffers.
    FUSED,
    /// `Llama`: plain code on libtorch autograd, for whoever changes the model.
    REFERENCE;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
