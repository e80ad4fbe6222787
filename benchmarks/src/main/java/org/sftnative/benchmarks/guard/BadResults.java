package org.sftnative.benchmarks.guard;

/// Results that cannot be judged: broken, of another place, or missing.
public final class BadResults extends RuntimeException {
    private static final long serialVersionUID = 1;

    public BadResults(String message) {
        super(message);
    }

    public BadResults(String message, Throwable cause) {
        super(message, cause);
    }
}
