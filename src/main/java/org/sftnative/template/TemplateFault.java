package org.sftnative.template;

/// A template asked for something that cannot be: becomes an [org.sftnative.InputException] that names the
/// line.
final class TemplateFault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TemplateFault(String message) {
        super(message, null, false, false);
    }
}
