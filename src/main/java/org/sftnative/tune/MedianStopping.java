package org.sftnative.tune;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.sftnative.InputException;
import org.sftnative.tune.StudyEvent.Report;
import org.sftnative.tune.StudyEvent.TrialAdded;
import org.sftnative.tune.StudyEvent.TrialEnded;

/// The median stopping rule, deciding as Ray Tune 2.58's MedianStoppingRule with `hard_stop` does: a trial stops if its
/// best metric so far is worse than the median of the means that the others had up to its age. NaN stops. Trials are
/// processes, so that none is ever paused to let another catch up.
/// Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2.2.
public final class MedianStopping implements Scheduler {
    /// Settings, with Ray's names.
    ///
    /// @param gracePeriod no trial stops before this age, and means count from it on
    /// @param minSamplesRequired so many other trials of that age there must be
    public record Settings(Mode mode, double gracePeriod, int minSamplesRequired) {
        public Settings {
            if (!(gracePeriod >= 0)) {
                throw new InputException("setting 'grace_period' is " + gracePeriod + ", must be 0 or more");
            }
            if (minSamplesRequired < 1) {
                throw new InputException(
                        "setting 'min_samples_required' is " + minSamplesRequired + ", must be 1 or more");
            }
        }
    }

    private final Settings settings;
    private final Map<Integer, List<Report>> reports = new LinkedHashMap<>();
    private final Set<Integer> stopped = new HashSet<>();

    public MedianStopping(Settings settings) {
        this.settings = settings;
    }

    @Override
    public void on(TrialAdded added) {}

    @Override
    public Decision on(Report report) {
        if (stopped.contains(report.trial())) {
            return Decision.STOP;
        }
        List<Report> own = reports.computeIfAbsent(report.trial(), trial -> new ArrayList<>());
        own.add(report);
        if (report.time() < settings.gracePeriod()) {
            return Decision.CONTINUE;
        }
        double[] means = reports.entrySet().stream()
                .filter(e -> e.getKey() != report.trial())
                .map(Map.Entry::getValue)
                .filter(of -> of.getLast().time() >= report.time())
                .mapToDouble(of -> mean(of, report.time()))
                .toArray();
        if (means.length < settings.minSamplesRequired()) {
            return Decision.CONTINUE;
        }
        double best = own.getFirst().metric();
        for (Report one : own) {
            best = settings.mode().better(one.metric(), best) && !Double.isNaN(best) ? one.metric() : best;
        }
        double median = Percentile.median(means);
        // best >= median for a reward; not the negation of <, because of NaN
        if (settings.mode().reward(best) >= settings.mode().reward(median)) {
            return Decision.CONTINUE;
        }
        stopped.add(report.trial());
        return Decision.STOP;
    }

    /// Its last report counts once more, as in Ray.
    @Override
    public void on(TrialEnded ended) {
        if (ended.state() != TrialState.FAILED) {
            ended.last()
                    .ifPresent(last -> reports.computeIfAbsent(last.trial(), trial -> new ArrayList<>())
                            .add(last));
        }
    }

    private double mean(List<Report> of, double until) {
        return Percentile.mean(of.stream()
                .filter(r -> settings.gracePeriod() <= r.time() && r.time() <= until)
                .mapToDouble(Report::metric)
                .toArray());
    }
}
