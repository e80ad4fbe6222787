package org.sftnative;

/// The user's input is wrong: a setting, a file, a row, a model directory. The message is the whole of what
/// the user sees, on one screen: what, where, both values, and on indented lines the next action. The
/// command line prints it after `error: `, without a stack trace, and exits with status 2.
///
/// Not for faults of the program or the machine: those are ordinary exceptions, and exit with status 1.
public final class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /// @param message what is wrong, where, and what to do; lines after the first are indented by two spaces
    public InputException(String message) {
        super(message);
    }

    /// @param message what is wrong, where, and what to do
    /// @param cause what the machine said; kept for `--stacktrace`, not shown otherwise
    public InputException(String message, Throwable cause) {
        super(message, cause);
    }
}
