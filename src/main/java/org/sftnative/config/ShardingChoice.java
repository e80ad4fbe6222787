package org.sftnative.config;

import java.util.Locale;

/// What ranks share out among them instead of each holding it whole.
public enum ShardingChoice {
    /// Nothing: every rank holds weights, gradients and optimizer.
    NONE,
    /// The optimizer's state: each rank updates its part of the weights.
    ZERO1;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
