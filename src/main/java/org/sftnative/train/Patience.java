package org.sftnative.train;

/// How long evaluations have not improved: what early stopping remembers, from checkpoint to checkpoint.
///
/// @param evaluations counted so far
/// @param worse those in a row, up to the last, that did not improve
/// @param best value of the best one; 0 before the first
public record Patience(int evaluations, int worse, double best) {
    /// Before the first evaluation.
    public static final Patience START = new Patience(0, 0, 0);
}
