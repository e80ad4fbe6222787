package org.sftnative.tune.study;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.sftnative.tune.Mode;

/// What a study has found.
public final class StudyResults {
    private StudyResults() {}

    /// The study's mode.
    static Mode mode(StudyDefinition study) {
        return Mode.valueOf(study.search().get("mode").toUpperCase(Locale.ROOT));
    }

    /// The trial with the best value; of equal ones the first. Failed trials are never it.
    static Optional<TrialRow> best(List<TrialRow> rows, StudyDefinition study) {
        Comparator<TrialRow> byValue =
                Comparator.comparingDouble(row -> row.value().orElseThrow());
        return rows.stream()
                .filter(row -> row.value().isPresent())
                .min((mode(study) == Mode.MIN ? byValue : byValue.reversed()).thenComparing(TrialRow::number));
    }
}
