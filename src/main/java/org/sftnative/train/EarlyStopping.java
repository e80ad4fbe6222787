package org.sftnative.train;

import org.sftnative.metrics.RunEvent;

/// When a run has learnt enough, as transformers' EarlyStoppingCallback decides: an evaluation improves if it is better
/// than the best one so far by more than a threshold; after `patience` evaluations in a row that do not, the run ends.
/// A small improvement is a new best all the same.
///
/// @param patience 0: it never ends early
/// @param threshold by how much the metric must change
record EarlyStopping(BestMetric metric, int patience, double threshold) {
    /// After one more evaluation; one that is not finite does not improve.
    Patience after(Patience before, RunEvent.Evaluated evaluated) {
        double value = metric.of(evaluated);
        boolean first = before.evaluations() == 0;
        boolean better = Double.isFinite(value)
                && (first || (metric.greaterIsBetter() ? value > before.best() : value < before.best()));
        boolean improved = better && (first || Math.abs(value - before.best()) > threshold);
        int counted = before.evaluations() + (Double.isFinite(value) ? 1 : 0);
        return new Patience(counted, improved ? 0 : before.worse() + 1, better ? value : before.best());
    }

    /// Whether the run is to end now.
    boolean isDue(Patience state) {
        return patience > 0 && state.worse() >= patience;
    }

    /// Why it ends.
    String why(Patience state) {
        return metric.name() + " has not improved" + (threshold > 0 ? " by more than " + threshold : "") + " in "
                + state.worse() + (state.worse() == 1 ? " evaluation" : " evaluations") + "; the best was "
                + state.best();
    }
}
