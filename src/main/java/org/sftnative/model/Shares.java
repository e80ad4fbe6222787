package org.sftnative.model;

import org.sftnative.config.ShardingChoice;

/// What one of several ranks holds of a model, in elements and bytes: the table of docs/SCALE.md.
///
/// @param layout of the model
/// @param sharding what the ranks share out
/// @param ranks of the run
public record Shares(ParameterLayout layout, ShardingChoice sharding, int ranks) {
    /// Weights that it updates, each with its optimizer state.
    public long updated() {
        return sharding.sharesOptimizer() ? part() : layout.numel();
    }

    /// Weights, and where passes read them from.
    public long weights() {
        return sharding.sharesWeights() ? part() + Parameters.workingElements(layout) : layout.numel();
    }

    /// Bytes of gradients, and of where passes write them.
    ///
    /// @param each bytes of one that is kept
    public long gradientBytes(long each) {
        return sharding.sharesGradients()
                ? each * part() + 4 * Parameters.workingElements(layout)
                : each * layout.numel();
    }

    private long part() {
        return Math.ceilDiv(layout.numel(), ranks);
    }
}
