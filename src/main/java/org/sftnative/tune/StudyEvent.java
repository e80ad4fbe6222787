package org.sftnative.tune;

import java.util.Optional;

/// One entry of a study's log. Their order in the log is the order in which the scheduler sees them, and together they
/// are all that it knows.
public sealed interface StudyEvent {
    /// The trial's number in its study, from 0.
    int trial();

    /// A trial begins. A retry of the same trial is no second beginning.
    ///
    /// @param bracket what `Scheduler.bracket` chose; recorded, because a replay must not choose again
    record TrialAdded(int trial, int bracket) implements StudyEvent {}

    /// A trial measured itself.
    ///
    /// @param time its age, in the study's time attribute: epochs, steps or tokens
    /// @param metric the study's metric; may be NaN or infinite
    record Report(int trial, double time, double metric) implements StudyEvent {}

    /// A trial is over, because the scheduler said STOP, or by its own end, or by failing.
    ///
    /// @param state one for which `TrialState.ended` holds
    /// @param last its newest report; empty if it never made one
    record TrialEnded(int trial, TrialState state, Optional<Report> last) implements StudyEvent {}
}
