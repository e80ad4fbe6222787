package org.sftnative.tune;

import java.util.Locale;

/// Where a trial is in its life.
public enum TrialState {
    /// Its settings are chosen; no process has it.
    WAITING,
    /// A process trains it.
    RUNNING,
    /// It ran to its own end.
    COMPLETED,
    /// The scheduler stopped it early.
    STOPPED,
    /// It failed for good: never best.
    FAILED;

    /// Whether nothing more will come of it.
    public boolean ended() {
        return this == COMPLETED || this == STOPPED || this == FAILED;
    }

    /// The spelling in logs and tables.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
