package org.sftnative.tune.study;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.sftnative.tune.Decision;
import org.sftnative.tune.StudyEvent;
import org.sftnative.tune.Trial;
import org.sftnative.tune.TrialState;

/// A trial as a person sees it.
///
/// @param number in the study, from 0
/// @param values what the space gave it
/// @param crashes how often it crashed
/// @param worker who has it, or had it last
/// @param why how it failed or crashed last; empty: it did not
/// @param seconds from its first beginning to its end, or to now
public record TrialRow(
        int number,
        Map<String, Object> values,
        TrialState state,
        int bracket,
        int crashes,
        String worker,
        String why,
        double seconds,
        List<Measured> reports) {
    /// A report in the log.
    ///
    /// @param step optimizer steps done
    /// @param time the same in the study's time attribute
    /// @param decision what the scheduler said
    public record Measured(long step, double time, double metric, Decision decision) {}

    /// The trial as searchers see it.
    Trial trial() {
        return new Trial(
                number,
                values,
                state,
                reports.stream()
                        .map(r -> new StudyEvent.Report(number, r.time(), r.metric()))
                        .toList());
    }

    /// What it is judged by; empty if it has failed, goes on, or never gave a number.
    public OptionalDouble value() {
        return trial().value();
    }

    /// `trial-0007`: its directory's name.
    public String name() {
        return name(number);
    }

    static String name(int number) {
        return "trial-%04d".formatted(number);
    }
}
