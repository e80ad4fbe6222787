package org.sftnative.optim;

/// A learning rate for every step.
@FunctionalInterface
public interface Schedule {
    /// The rate of the update that follows `step` done ones (the first is 0).
    double at(long step);

    /// Linear warm-up to the peak, then `after`.
    ///
    /// @param peak learning rate after the warm-up
    /// @param warmup steps of it; the first uses rate 0, as in transformers
    /// @param after factor of the peak, of the part done of the steps after the warm-up (0 to 1)
    /// @param total steps of the run
    static Schedule warmed(double peak, long warmup, long total, Decay after) {
        return step -> step < warmup
                ? peak * step / Math.max(1, warmup)
                : peak * after.factor((double) (step - warmup) / Math.max(1, total - warmup));
    }

    /// What remains of the peak.
    @FunctionalInterface
    interface Decay {
        /// @param progress part done of the steps after the warm-up, from 0
        double factor(double progress);
    }

    /// Stays at the peak.
    Decay CONSTANT = progress -> 1;

    /// Falls in a straight line to 0.
    Decay LINEAR = progress -> Math.max(0, 1 - progress);

    /// Falls along half a cosine to 0.
    Decay COSINE = cosineTo(0);

    /// Falls along half a cosine to a part of the peak.
    ///
    /// @param minRate the last rate as a part of the peak
    static Decay cosineTo(double minRate) {
        return progress -> Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)) * (1 - minRate) + minRate);
    }
}
