package org.sftnative.config;

import java.util.Locale;

/// The arithmetic of a run. In a settings file: `auto`, `fp32`, `bf16-autocast`, `bf16`.
public enum PrecisionChoice {
    /// fp32 on a CPU, bf16 on CUDA.
    AUTO,
    /// Weights, activations and optimizer in fp32.
    FP32,
    /// Weights and optimizer in fp32, matrix products in bf16, as transformers' `bf16=True` does.
    BF16_AUTOCAST,
    /// Weights, gradients and activations in bf16; the optimizer keeps fp32 masters, so that small updates are not
    /// lost.
    BF16;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
