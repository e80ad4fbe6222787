package org.sftnative.tune;

import java.util.ArrayList;
import java.util.List;
import org.sftnative.tune.StudyEvent.Report;
import org.sftnative.tune.StudyEvent.TrialAdded;
import org.sftnative.tune.StudyEvent.TrialEnded;

/// Decides which trials stop early. Its state is a function of the events that it was told, in their order: a new one
/// that is told the log of another decides as that one does.
///
/// Not for several threads at once: whoever holds the log holds the scheduler.
public interface Scheduler {
    /// The bracket that a trial about to begin should have, for its `TrialAdded`: a function of (study seed, trial).
    default int bracket(int trial) {
        return 0;
    }

    void on(TrialAdded added);

    /// The decision on a report; what it does to the state is done, whatever the caller makes of the answer.
    Decision on(Report report);

    void on(TrialEnded ended);

    /// Tells it a log, and collects what it says to each report in it, in their order.
    default List<Decision> replay(Iterable<? extends StudyEvent> log) {
        List<Decision> decisions = new ArrayList<>();
        for (StudyEvent event : log) {
            switch (event) {
                case TrialAdded added -> on(added);
                case Report report -> decisions.add(on(report));
                case TrialEnded ended -> on(ended);
            }
        }
        return decisions;
    }
}
