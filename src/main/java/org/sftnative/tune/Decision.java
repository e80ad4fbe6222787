package org.sftnative.tune;

/// What a scheduler says to a report.
public enum Decision {
    /// Train on.
    CONTINUE,
    /// End the trial here.
    STOP
}
