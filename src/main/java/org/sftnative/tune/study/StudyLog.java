package org.sftnative.tune.study;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.sftnative.tune.Decision;
import org.sftnative.tune.Scheduler;
import org.sftnative.tune.StudyEvent;
import org.sftnative.tune.TrialState;

/// What the stored log makes of a scheduler and of the trials' reports, so far as it was read. It is never changed but
/// by an entry that is in the log, or is written in the same transaction: if that one fails, it is thrown away.
final class StudyLog {
    private final Scheduler scheduler;
    private final Map<Integer, TreeMap<Long, TrialRow.Measured>> reports = new TreeMap<>();
    private long read;

    StudyLog(Scheduler scheduler) {
        this.scheduler = scheduler;
    }

    /// An entry as it is stored.
    ///
    /// @param kind `added`, `report` or `ended`
    /// @param step of a report; of the others -1
    /// @param metric of a report; Java's text of a double, which NULL and NaN need
    /// @param said of a report the decision, of an end the state, of a beginning the bracket
    record Entry(long seq, String kind, int trial, long step, String time, String metric, String said) {}

    /// Number of entries read.
    long size() {
        return read;
    }

    /// Tells the scheduler an entry that others wrote.
    void replay(Entry e) {
        if (e.seq() != read) {
            throw new IllegalStateException("entry " + e.seq() + " of the study's log comes after " + read);
        }
        switch (e.kind()) {
            case "added" -> added(e.trial(), Integer.parseInt(e.said()));
            case "report" -> {
                double time = Double.parseDouble(e.time());
                double metric = Double.parseDouble(e.metric());
                scheduler.on(new StudyEvent.Report(e.trial(), time, metric));
                keep(e.trial(), new TrialRow.Measured(e.step(), time, metric, Decision.valueOf(e.said())));
            }
            default -> ended(e.trial(), TrialState.valueOf(e.said()));
        }
    }

    /// The bracket of a trial that is about to begin.
    int bracket(int trial) {
        return scheduler.bracket(trial);
    }

    void added(int trial, int bracket) {
        scheduler.on(new StudyEvent.TrialAdded(trial, bracket));
        read++;
    }

    Decision report(int trial, long step, double time, double metric) {
        Decision decision = scheduler.on(new StudyEvent.Report(trial, time, metric));
        keep(trial, new TrialRow.Measured(step, time, metric, decision));
        return decision;
    }

    void ended(int trial, TrialState state) {
        Collection<TrialRow.Measured> all = of(trial).values();
        Optional<StudyEvent.Report> last =
                all.stream().reduce((_, later) -> later).map(r -> new StudyEvent.Report(trial, r.time(), r.metric()));
        scheduler.on(new StudyEvent.TrialEnded(trial, state, last));
        read++;
    }

    /// Reports of a trial by their step.
    TreeMap<Long, TrialRow.Measured> of(int trial) {
        return reports.computeIfAbsent(trial, _ -> new TreeMap<>());
    }

    List<TrialRow.Measured> reports(int trial) {
        return new ArrayList<>(of(trial).values());
    }

    private void keep(int trial, TrialRow.Measured report) {
        of(trial).put(report.step(), report);
        read++;
    }
}
