package org.sftnative.tune;

/// Stops nothing.
public final class NoScheduler implements Scheduler {
    @Override
    public void on(StudyEvent.TrialAdded added) {}

    @Override
    public Decision on(StudyEvent.Report report) {
        return Decision.CONTINUE;
    }

    @Override
    public void on(StudyEvent.TrialEnded ended) {}
}
