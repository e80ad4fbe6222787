package org.sftnative.tune;

import java.util.Locale;

/// Which values of the metric are better.
public enum Mode {
    /// Lower is better: a loss.
    MIN,
    /// Higher is better: a score.
    MAX;

    /// The metric so that higher is better.
    double reward(double metric) {
        return this == MIN ? -1.0 * metric : metric;
    }

    /// Whether `a` is strictly better than `b`; NaN is better than nothing.
    public boolean better(double a, double b) {
        return reward(a) > reward(b) || (Double.isNaN(b) && !Double.isNaN(a));
    }

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
