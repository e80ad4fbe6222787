package org.sftnative.metrics;

/// A running mean of the steps' losses with weight 0.9, corrected at the start as Adam corrects its moments. Losses
/// that are not finite are left out of it.
final class SmoothedLoss {
    private static final double KEPT = 0.9;

    private double mean;
    private double weight;
    private double sumBefore;
    private long tokensBefore;

    /// @param step tells sums since the last logged step: the difference to the one before is the step's own
    void add(RunEvent.StepDone step) {
        double sum = step.loss() * step.labelTokens();
        long tokens = step.labelTokens() - tokensBefore;
        double loss = tokens > 0 && Double.isFinite(sumBefore) ? (sum - sumBefore) / tokens : step.loss();
        sumBefore = step.logged() ? 0 : sum;
        tokensBefore = step.logged() ? 0 : step.labelTokens();
        if (Double.isFinite(loss)) {
            mean = KEPT * mean + (1 - KEPT) * loss;
            weight = KEPT * weight + (1 - KEPT);
        }
    }

    /// NaN before the first loss.
    double value() {
        return mean / weight;
    }
}
