package org.sftnative.config;

import java.util.Locale;

/// What a run does about a step whose loss or gradient is far beyond the ones before. In a settings file: `warn`,
/// `skip`, `reduce-lr`, `rollback`.
public enum SpikeChoice {
    /// Says so, and trains on it.
    WARN,
    /// Says so, and does not update the weights.
    SKIP,
    /// Halves the learning rate from this step on.
    REDUCE_LR,
    /// Goes back to the last checkpoint, and leaves the step's rows out.
    ROLLBACK;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
