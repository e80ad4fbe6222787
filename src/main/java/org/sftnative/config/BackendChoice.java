package org.sftnative.config;

import java.util.Locale;

/// What carries tensors between the ranks of a run.
public enum BackendChoice {
    /// NCCL where the run's device is a GPU, else Gloo.
    AUTO,
    /// Over TCP, of host memory.
    GLOO,
    /// NVIDIA's, between GPUs.
    NCCL;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
