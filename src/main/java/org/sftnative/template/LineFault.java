package org.sftnative.template;

/// A fault in a template's text, with its line.
final class LineFault extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final int line;

    LineFault(String message, int line) {
        super(message, null, false, false);
        this.line = line;
    }

    int line() {
        return line;
    }
}
