package org.sftnative.train;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.sftnative.config.SpikeChoice;
import org.sftnative.config.SpikeRule;
import org.sftnative.config.SpikeSettings;
import org.sftnative.metrics.RunEvent;

/// Tells spikes of loss and gradient norm from the ordinary, and says what to do about one. It remembers nothing:
/// all that it goes by is in [SpikeState], so that a resumed run decides as the uninterrupted one.
///
/// Statistics are robust: the median, and 1.4826 x the median distance from it for a standard deviation, so that
/// a few spikes in the window hide no other. All finite values enter the window, spikes too: a level that stays
/// is ordinary after half a window.
///
/// @param settings what counts as a spike, and what is done
public record SpikeGuard(SpikeSettings settings) {
    /// Values that a median needs before anything is compared with it: the first steps fall steeply.
    private static final int FEWEST = 16;

    private static final double MAD_TO_SIGMA = 1.4826; // of a normal distribution

    /// What becomes of a step.
    public enum Action {
        UPDATE,
        SKIP,
        ROLL_BACK
    }

    /// The judgement of one step.
    ///
    /// @param why what is wrong, of the first spike in a row; empty: nothing to tell
    /// @param after what is remembered if the run goes on
    public record Verdict(Action action, Optional<String> why, SpikeState after) {}

    /// Whether a judgement may change the update of its step: then it comes before it.
    boolean decides() {
        return settings.onSpike() != SpikeChoice.WARN;
    }

    /// Judges a step.
    ///
    /// @param loss summed loss / label tokens of the step
    /// @param norm of its gradient before clipping
    public Verdict judge(SpikeState state, double loss, double norm) {
        Optional<String> spike = Double.isFinite(loss) && Double.isFinite(norm)
                ? reason("loss", loss, state.losses(), settings.spikeLossRatio())
                        .or(() -> reason("gradient norm", norm, state.norms(), 0))
                : Optional.empty(); // that is another matter: such a step never updates
        SpikeState after = state.with(loss, norm, settings.spikeWindow(), spike.isPresent());
        if (spike.isEmpty()) {
            return new Verdict(Action.UPDATE, spike, after);
        }
        boolean first = state.inARow() == 0;
        SpikeChoice choice = settings.onSpike();
        if (choice == SpikeChoice.REDUCE_LR && first && state.reductions() < settings.spikeLimit()) {
            after = after.reduced();
        }
        String done = switch (choice) {
            case WARN -> "";
            case SKIP -> ", the update was skipped";
            case REDUCE_LR ->
                after.reductions() > state.reductions()
                        ? ", the learning rate is halved"
                        : ", the learning rate was halved " + state.reductions() + " times and stays";
            case ROLLBACK -> "";
        };
        return new Verdict(
                switch (choice) {
                    case WARN, REDUCE_LR -> Action.UPDATE;
                    case SKIP -> Action.SKIP;
                    case ROLLBACK -> Action.ROLL_BACK;
                },
                spike.filter(_ -> first || choice == SpikeChoice.SKIP || choice == SpikeChoice.ROLLBACK)
                        .map(why -> why + done),
                after);
    }

    /// Tells of a spike.
    ///
    /// @param why of a verdict
    static RunEvent.Alerted alert(long step, String why) {
        return new RunEvent.Alerted(step, why.startsWith("loss") ? "loss_spike" : "gradient_explosion", why);
    }

    private Optional<String> reason(String what, double value, List<Double> window, double ratio) {
        if (settings.spikeRule() == SpikeRule.RATIO && what.equals("gradient norm")) {
            double most = settings.spikeGradNorm();
            return most > 0 && value > most
                    ? Optional.of(text("%s %.4g is over %.4g", what, value, most))
                    : Optional.empty();
        }
        if (window.size() < Math.min(FEWEST, settings.spikeWindow())) {
            return Optional.empty();
        }
        double median = median(window);
        if (settings.spikeRule() == SpikeRule.RATIO) {
            return ratio > 0 && value > ratio * median
                    ? Optional.of(text(
                            "%s %.4g is over %.4g x %.4g, the median of %d steps",
                            what, value, ratio, median, window.size()))
                    : Optional.empty();
        }
        double sigma = MAD_TO_SIGMA
                * median(window.stream().map(v -> Math.abs(v - median)).toList());
        // equal values have no spread: a thousandth is ordinary
        double most = median + settings.spikeSigmas() * Math.max(sigma, 1e-3 * Math.abs(median));
        return value > most
                ? Optional.of(text(
                        "%s %.4g is over %.4g, %.4g deviations above %.4g, the median of %d steps",
                        what, value, most, settings.spikeSigmas(), median, window.size()))
                : Optional.empty();
    }

    private static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(v -> v).sorted().toArray();
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static String text(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }
}
