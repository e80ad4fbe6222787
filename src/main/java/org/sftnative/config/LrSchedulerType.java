package org.sftnative.config;

import java.util.Locale;

/// How the learning rate moves after warm-up. In a settings file: the names of transformers' `SchedulerType`.
public enum LrSchedulerType {
    /// Down to 0 on a line.
    LINEAR,
    /// Down to 0 on half a cosine.
    COSINE,
    /// Down to `min_lr_rate` x the peak on half a cosine.
    COSINE_WITH_MIN_LR,
    /// The peak from the first step on; no warm-up.
    CONSTANT,
    /// Warm-up, then the peak.
    CONSTANT_WITH_WARMUP;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
