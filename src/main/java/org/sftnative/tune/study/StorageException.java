package org.sftnative.tune.study;

/// The storage did not answer, or could not do now what it was asked: asking again may help. What was asked may have
/// been done all the same; every question may be asked twice.
public final class StorageException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    StorageException(String message, Throwable cause) {
        super(message, cause);
    }
}
