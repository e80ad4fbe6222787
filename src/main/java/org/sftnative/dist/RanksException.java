package org.sftnative.dist;

/// Another rank ended the run, or cannot be reached. The message says which and why.
public final class RanksException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public RanksException(String message, Throwable cause) {
        super(message, cause);
    }
}
