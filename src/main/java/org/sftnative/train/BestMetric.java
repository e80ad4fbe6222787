package org.sftnative.train;

import org.sftnative.config.TrainingSettings;
import org.sftnative.metrics.RunEvent;

/// By what evaluations are compared.
///
/// @param name `eval_loss` or `eval_perplexity`
/// @param greaterIsBetter whether the highest is the best
record BestMetric(String name, boolean greaterIsBetter) {
    static BestMetric of(TrainingSettings settings) {
        String name = settings.metricForBestModel();
        return new BestMetric(
                name.startsWith("eval_") ? name : "eval_" + name,
                settings.greaterIsBetter().orElse(false));
    }

    double of(RunEvent.Evaluated evaluated) {
        return name.equals("eval_perplexity") ? Math.exp(evaluated.loss()) : evaluated.loss();
    }

    /// Whether an evaluation is better than the best one so far; one that is not a number never is.
    boolean better(double value, Checkpoints.Best best) {
        boolean first = best.step() == 0 || !best.metric().equals(name);
        return !Double.isNaN(value) && (first || (greaterIsBetter ? value > best.value() : value < best.value()));
    }
}
