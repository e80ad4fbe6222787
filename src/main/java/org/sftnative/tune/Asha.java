package org.sftnative.tune;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.sftnative.InputException;
import org.sftnative.tune.StudyEvent.Report;
import org.sftnative.tune.StudyEvent.TrialAdded;
import org.sftnative.tune.StudyEvent.TrialEnded;

/// Asynchronous successive halving, deciding as Ray Tune 2.58's AsyncHyperBandScheduler does.
///
/// A bracket has rungs at ages `grace_period * reduction_factor^(k + bracket)`. A trial that reports at or above a rung
/// which does not have it yet is recorded there, and stops if it is worse than the `1 - 1/reduction_factor` quantile of
/// those recorded before it. One report is recorded in one rung, the highest possible. NaN stops nothing by itself and
/// does not count in quantiles.
/// Source: arXiv 1810.05934.
public final class Asha implements Scheduler {
    /// Settings, with Ray's names; its defaults are `Settings.of(mode, maxT)`.
    ///
    /// @param maxT a trial stops at this age, if `stopLastTrials`; no rung lies above it
    /// @param gracePeriod no trial stops before this age
    /// @param reductionFactor of so many trials at a rung, one goes on
    /// @param brackets sets of rungs, each starting one rung later than the one before
    /// @param stopLastTrials whether trials stop at `maxT`, and rungs hold when a trial reports again above them
    public record Settings(
            Mode mode, double maxT, double gracePeriod, double reductionFactor, int brackets, boolean stopLastTrials) {
        public Settings {
            must(maxT > 0 && Double.isFinite(maxT), "max_t", maxT, "above 0");
            must(gracePeriod > 0, "grace_period", gracePeriod, "above 0");
            must(gracePeriod <= maxT, "grace_period", gracePeriod, "at most max_t, which is " + maxT);
            must(
                    reductionFactor > 1 && Double.isFinite(reductionFactor),
                    "reduction_factor",
                    reductionFactor,
                    "above 1");
            must(brackets >= 1 && brackets <= 1000, "brackets", brackets, "from 1 to 1000");
        }

        /// Ray's defaults.
        public static Settings of(Mode mode, double maxT) {
            return new Settings(mode, maxT, 1, 4, 1, true);
        }

        private static void must(boolean holds, String setting, Object value, String allowed) {
            if (!holds) {
                throw new InputException("setting '" + setting + "' is " + value + ", must be " + allowed);
            }
        }
    }

    /// Rewards by trial, in the order in which they were recorded.
    private record Rung(double age, Map<Integer, Double> recorded) {}

    /// A rung as tables and pages show it.
    ///
    /// @param age where it lies
    /// @param metrics of the trials that were recorded there
    public record RungView(int bracket, double age, Map<Integer, Double> metrics) {}

    private final Settings settings;
    private final long seed;
    private final List<List<Rung>> brackets = new ArrayList<>();
    private final Map<Integer, Integer> bracketOf = new HashMap<>();
    private final Set<Integer> ended = new HashSet<>();

    /// @param seed the study's; decides which trial starts in which bracket
    public Asha(Settings settings, long seed) {
        this.settings = settings;
        this.seed = seed;
        for (int bracket = 0; bracket < settings.brackets(); bracket++) {
            int rungs = (int) (Math.log(settings.maxT() / settings.gracePeriod()) / Math.log(settings.reductionFactor())
                    - bracket
                    + 1);
            List<Rung> highestFirst = new ArrayList<>();
            for (int k = rungs - 1; k >= 0; k--) {
                double age = settings.gracePeriod() * Math.pow(settings.reductionFactor(), k + bracket);
                highestFirst.add(new Rung(age, new LinkedHashMap<>()));
            }
            brackets.add(highestFirst);
        }
    }

    /// Drawn as Ray draws it, a bracket e times as likely for each rung more; but as a function of (seed, trial).
    @Override
    public int bracket(int trial) {
        int most = brackets.stream().mapToInt(List::size).max().orElse(0);
        double[] weights = brackets.stream()
                .mapToDouble(rungs -> StrictMath.exp(rungs.size() - most))
                .toArray();
        return Draws.of(seed, trial, "asha bracket").weighted(weights);
    }

    /// @throws IllegalArgumentException if there is no such bracket
    @Override
    public void on(TrialAdded added) {
        if (added.bracket() < 0 || added.bracket() >= brackets.size()) {
            throw new IllegalArgumentException(added + ": there are " + brackets.size() + " brackets");
        }
        bracketOf.put(added.trial(), added.bracket());
    }

    /// @throws IllegalArgumentException if the trial was never added
    @Override
    public Decision on(Report report) {
        if (ended.contains(report.trial())) {
            return Decision.STOP; // a process that lost its trial: let it end
        }
        if (report.time() >= settings.maxT() && settings.stopLastTrials()) {
            return Decision.STOP;
        }
        return record(report);
    }

    /// A trial that ended well has its last report recorded, in a rung that it may have jumped over, too.
    @Override
    public void on(TrialEnded end) {
        if (ended.add(end.trial()) && end.state() != TrialState.FAILED) {
            end.last().ifPresent(this::record);
        }
    }

    /// What the rungs hold, the lowest first.
    public List<RungView> rungs() {
        List<RungView> views = new ArrayList<>();
        for (int bracket = 0; bracket < brackets.size(); bracket++) {
            for (Rung rung : brackets.get(bracket).reversed()) {
                Map<Integer, Double> metrics = new LinkedHashMap<>();
                rung.recorded()
                        .forEach((trial, reward) ->
                                metrics.put(trial, settings.mode().reward(reward)));
                views.add(new RungView(bracket, rung.age(), metrics));
            }
        }
        return views;
    }

    private Decision record(Report report) {
        Integer bracket = bracketOf.get(report.trial());
        if (bracket == null) {
            throw new IllegalArgumentException("trial " + report.trial() + " reports and was never added");
        }
        double reward = settings.mode().reward(report.metric());
        for (Rung rung : brackets.get(bracket)) {
            if (!(report.time() >= rung.age())) {
                continue;
            }
            if (rung.recorded().containsKey(report.trial())) {
                if (!settings.stopLastTrials()) {
                    return Decision.CONTINUE;
                }
                continue; // a lower rung that was jumped over
            }
            boolean worse = !rung.recorded().isEmpty() && reward < cutoff(rung);
            rung.recorded().put(report.trial(), reward);
            return worse ? Decision.STOP : Decision.CONTINUE;
        }
        return Decision.CONTINUE;
    }

    private double cutoff(Rung rung) {
        double[] rewards = rung.recorded().values().stream().mapToDouble(r -> r).toArray();
        return Percentile.ofNumbers(rewards, (1 - 1 / settings.reductionFactor()) * 100);
    }
}
