package org.sftnative.tune;

import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import org.sftnative.tune.StudyEvent.Report;

/// A trial as a searcher sees it.
///
/// @param number in its study, from 0
/// @param values the settings that the search space gave it: name to Boolean, Long, Double, String or List of these
/// @param reports in the order in which they came
public record Trial(int number, Map<String, Object> values, TrialState state, List<Report> reports) {
    public Trial {
        values = Collections.unmodifiableMap(new LinkedHashMap<>(values)); // in the space's order
        reports = List.copyOf(reports);
    }

    /// What it is judged by: the metric of its last report, if it ended well or was stopped, and if that is a number.
    public OptionalDouble value() {
        if (reports.isEmpty() || (state != TrialState.COMPLETED && state != TrialState.STOPPED)) {
            return OptionalDouble.empty();
        }
        double last = reports.getLast().metric();
        return Double.isNaN(last) ? OptionalDouble.empty() : OptionalDouble.of(last);
    }

    /// The report of its greatest age.
    Optional<Report> oldest() {
        return reports.stream().max(Comparator.comparingDouble(Report::time));
    }

    /// The best trial, if any has a metric; of equal ones the first. Failed trials never are.
    public static Optional<Trial> best(List<Trial> trials, Mode mode) {
        return trials.stream()
                .filter(trial -> trial.value().isPresent())
                .min(Comparator.<Trial>comparingDouble(
                                trial -> -mode.reward(trial.value().orElseThrow()))
                        .thenComparingInt(Trial::number));
    }
}
