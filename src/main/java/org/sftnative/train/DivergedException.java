package org.sftnative.train;

/// A run that is lost: loss or gradient were not finite several steps in a row. The message says which step, what they
/// were, and on indented lines what to do; the command line shows all of it and exits with status 1.
public final class DivergedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /// @param message what happened, and what to do on lines indented by two spaces
    public DivergedException(String message) {
        super(message);
    }
}
