package org.sftnative.config;

import java.util.Locale;

/// What ranks share out among them instead of each holding it whole.
public enum ShardingChoice {
    /// Nothing: every rank holds weights, gradients and optimizer.
    NONE,
    /// The optimizer's state: each rank updates its part of the weights.
    ZERO1,
    /// Gradients too: each rank keeps the sum of its part.
    ZERO2,
    /// Weights too: each rank keeps its part, and has the rest only while it computes with it.
    ZERO3;

    /// Whether a rank updates a part of the weights only.
    public boolean sharesOptimizer() {
        return this != NONE;
    }

    /// Whether a rank keeps a part of the gradients only.
    public boolean sharesGradients() {
        return this == ZERO2 || this == ZERO3;
    }

    /// Whether a rank keeps a part of the weights only.
    public boolean sharesWeights() {
        return this == ZERO3;
    }

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
