package org.sftnative.train;

/// A run whose numbers went wrong: loss or gradient were not finite several steps in a row, or spikes came back after
/// the last rollback that was allowed.
public final class DivergedException extends RunLostException {
    private static final long serialVersionUID = 1L;

    /// @param message what happened, and what to do on lines indented by two spaces
    public DivergedException(String message) {
        super(message);
    }
}
