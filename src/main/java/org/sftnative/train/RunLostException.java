package org.sftnative.train;

/// A run that cannot go on. The message says at which step and why, and on indented lines what to do; the command line
/// shows all of it and exits with status 1.
public class RunLostException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /// @param message what happened, and what to do on lines indented by two spaces
    public RunLostException(String message) {
        super(message);
    }

    /// @param cause what made it so
    public RunLostException(String message, Throwable cause) {
        super(message, cause);
    }
}
