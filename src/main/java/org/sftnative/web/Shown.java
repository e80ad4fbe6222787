package org.sftnative.web;

import java.util.stream.Collectors;

/// Text of a request inside a message.
final class Shown {
    private static final int LONGEST = 64;

    private Shown() {}

    /// Cut, and without control characters.
    static String of(String text) {
        String line = text.codePoints()
                .limit(LONGEST)
                .mapToObj(c -> Character.isISOControl(c) || Character.getType(c) == Character.SURROGATE
                        ? "\\u%04x".formatted(c)
                        : Character.toString(c))
                .collect(Collectors.joining());
        return text.codePointCount(0, text.length()) > LONGEST ? line + "..." : line;
    }
}
