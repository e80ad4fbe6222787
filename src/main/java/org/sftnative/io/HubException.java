package org.sftnative.io;

/// A download failed through no fault of the user's input: no network, a server that fails, a disk
/// that is full, bytes that are not those that were asked for. The message is for the user, as an
/// [org.sftnative.InputException]'s is.
public final class HubException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /// @param message what happened, where, and what to do
    public HubException(String message) {
        super(message);
    }

    /// @param message what happened, where, and what to do
    /// @param cause what the machine said
    public HubException(String message, Throwable cause) {
        super(message, cause);
    }
}
