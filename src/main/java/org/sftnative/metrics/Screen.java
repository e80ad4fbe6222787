package org.sftnative.metrics;

import java.util.function.IntSupplier;

/// What output goes to.
///
/// @param terminal whether it can erase a line
/// @param colours whether it shows colours, and the user wants them
/// @param columns its width now; 0: without limit
public record Screen(boolean terminal, boolean colours, IntSupplier columns) {
    /// A file or a pipe.
    public static final Screen FILE = new Screen(false, false, () -> 0);

    String red(String text) {
        return coloured("31", text);
    }

    String green(String text) {
        return coloured("32", text);
    }

    String yellow(String text) {
        return coloured("33", text);
    }

    private String coloured(String code, String text) {
        return colours ? "\033[" + code + "m" + text + "\033[0m" : text;
    }
}
