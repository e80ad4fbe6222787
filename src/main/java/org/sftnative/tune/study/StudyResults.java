package org.sftnative.tune.study;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.sftnative.tune.Asha;
import org.sftnative.tune.Importance;
import org.sftnative.tune.Mode;
import org.sftnative.tune.TrialState;

/// What a study has found so far.
///
/// @param trials how many it is to have
/// @param rows those that were begun, in their order
public record StudyResults(StudyDefinition definition, int trials, List<TrialRow> rows) {
    Mode mode() {
        return definition.mode();
    }

    /// The key that trials are judged by.
    public String metric() {
        return definition.search().get("metric");
    }

    /// What a trial's age is counted in.
    String timeAttribute() {
        return definition.search().get("time_attr");
    }

    /// The trial with the best value; of equal ones the first. Failed trials are never it.
    public Optional<TrialRow> best() {
        Comparator<TrialRow> byValue =
                Comparator.comparingDouble(row -> row.value().orElseThrow());
        return rows.stream()
                .filter(row -> row.value().isPresent())
                .min((mode() == Mode.MIN ? byValue : byValue.reversed()).thenComparing(TrialRow::number));
    }

    /// Names of the settings that the space varies, in its order.
    List<String> names() {
        Set<String> names = new LinkedHashSet<>();
        rows.forEach(row -> names.addAll(row.values().keySet()));
        return new ArrayList<>(names);
    }

    /// Whether every trial has ended.
    public boolean finished() {
        return rows.size() >= trials
                && rows.stream().allMatch(row -> row.state().ended());
    }

    /// `20 trials: 12 stopped, 8 completed`.
    public String summary() {
        Map<TrialState, Long> counts = rows.stream()
                .collect(Collectors.groupingBy(TrialRow::state, java.util.TreeMap::new, Collectors.counting()));
        String states = counts.entrySet().stream()
                .map(e -> e.getValue() + " " + e.getKey())
                .collect(Collectors.joining(", "));
        return rows.size() + " of " + trials + " trials" + (states.isEmpty() ? "" : ": " + states);
    }

    /// What the scheduler's rungs hold; empty if it has none.
    List<Asha.RungView> rungs() {
        return Study.rungs(definition, rows);
    }

    /// How much each setting has to say, the most important first.
    Map<String, Double> importance() {
        return Importance.of(rows.stream().map(TrialRow::trial).toList());
    }
}
