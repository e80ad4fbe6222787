package org.sftnative.train;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/// What a run remembers of spikes, from step to step and from checkpoint to checkpoint.
///
/// @param losses mean losses of the last steps, oldest first; finite ones only
/// @param norms gradient norms of the same kind
/// @param inARow spikes right before the next step
/// @param reductions times that the learning rate was halved
/// @param rollbacks times that the run went back
/// @param rolledBackTo step of the checkpoint that it last went back to; -1: it never did
/// @param leftOut steps whose rows are not trained, ascending
public record SpikeState(
        List<Double> losses,
        List<Double> norms,
        int inARow,
        int reductions,
        int rollbacks,
        long rolledBackTo,
        List<Long> leftOut) {
    /// Before the first step.
    public static final SpikeState START = new SpikeState(List.of(), List.of(), 0, 0, 0, -1, List.of());

    public SpikeState {
        losses = List.copyOf(losses);
        norms = List.copyOf(norms);
        leftOut = List.copyOf(leftOut);
    }

    /// What the learning rate is multiplied with.
    public double rateFactor() {
        return Math.scalb(1.0, -reductions);
    }

    /// With one more step in the window; values that are not finite stay out of it.
    SpikeState with(double loss, double norm, int window, boolean spike) {
        return new SpikeState(
                appended(losses, loss, window),
                appended(norms, norm, window),
                spike ? inARow + 1 : 0,
                reductions,
                rollbacks,
                rolledBackTo,
                leftOut);
    }

    SpikeState reduced() {
        return new SpikeState(losses, norms, inARow, reductions + 1, rollbacks, rolledBackTo, leftOut);
    }

    /// The state of a checkpoint that a run goes back to: the window is the checkpoint's, what was learnt of the
    /// run's rows stays.
    ///
    /// @param to the checkpoint's step
    /// @param now the state when it went back
    /// @param from first step that is left out from now on, counted from 0
    /// @param through last one
    SpikeState rolledBack(long to, SpikeState now, long from, long through) {
        TreeSet<Long> all = new TreeSet<>(now.leftOut);
        for (long step = from; step <= through; step++) {
            all.add(step);
        }
        return new SpikeState(losses, norms, inARow, now.reductions, now.rollbacks + 1, to, new ArrayList<>(all));
    }

    private static List<Double> appended(List<Double> values, double value, int window) {
        if (!Double.isFinite(value)) {
            return values;
        }
        List<Double> longer = new ArrayList<>(values.subList(Math.max(0, values.size() - window + 1), values.size()));
        longer.add(value);
        return longer;
    }
}
