package org.sftnative.metrics;

import java.util.ArrayDeque;
import java.util.Deque;

/// Says when throughput or evaluation look wrong; spikes of loss and gradient are found and told by the run itself,
/// before it updates (`on_spike`).
///
/// - `throughput_drop`: two logged steps in a row with tokens per second below half the median of the last 10;
/// - `eval_rise`: the evaluation loss rose twice in a row while the training loss fell: over-fitting.
public final class Monitor implements RunListener {
    private static final double THROUGHPUT_SHARE = 0.5;
    private static final int WINDOW = 10;
    /// Logged steps before which a rate proves nothing.
    private static final int FEWEST = 5;
    /// Slow logged steps in a row that are told: one is another program's start.
    private static final int SLOW = 2;

    private final RunListener told;
    private final Deque<Double> rates = new ArrayDeque<>();
    private final Deque<Double> evals = new ArrayDeque<>();
    private final Deque<Double> lossAtEval = new ArrayDeque<>();
    private double lastLoss = Double.NaN;
    private int slowInARow;
    private boolean rising;

    /// @param told hears the alerts
    public Monitor(RunListener told) {
        this.told = told;
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.StepDone step -> step(step);
            case RunEvent.Evaluated evaluated -> evaluated(evaluated);
            default -> {}
        }
    }

    private void step(RunEvent.StepDone step) {
        if (!step.logged()) {
            return;
        }
        double median =
                rates.stream().sorted().skip(rates.size() / 2).findFirst().orElse(Double.NaN);
        boolean slow = rates.size() >= FEWEST && step.tokensPerSecond() < THROUGHPUT_SHARE * median;
        slowInARow = slow ? slowInARow + 1 : 0;
        if (slowInARow == SLOW) {
            alert(
                    step.step(),
                    "throughput_drop",
                    "%,.0f tokens/s, half of the last %d logged steps had %,.0f or more",
                    step.tokensPerSecond(),
                    rates.size(),
                    median);
        }
        if (Double.isFinite(step.loss())) {
            lastLoss = step.loss();
        }
        keep(rates, step.tokensPerSecond());
    }

    private void evaluated(RunEvent.Evaluated evaluated) {
        evals.addLast(evaluated.loss());
        lossAtEval.addLast(lastLoss);
        if (evals.size() > 3) {
            evals.removeFirst();
            lossAtEval.removeFirst();
        }
        Double[] e = evals.toArray(Double[]::new);
        boolean rises = e.length == 3 && e[0] < e[1] && e[1] < e[2] && lossAtEval.getLast() < lossAtEval.getFirst();
        if (rises && !rising) { // once for as long as it lasts
            alert(
                    evaluated.step(),
                    "eval_rise",
                    "evaluation loss rose twice in a row, %.4f to %.4f, while training loss"
                            + " fell: the model begins to learn its rows by heart",
                    e[0],
                    e[2]);
        }
        rising = rises;
    }

    private static void keep(Deque<Double> window, double value) {
        window.addLast(value);
        if (window.size() > WINDOW) {
            window.removeFirst();
        }
    }

    private void alert(long step, String kind, String message, Object... values) {
        told.on(new RunEvent.Alerted(step, kind, Units.format(message, values)));
    }
}
