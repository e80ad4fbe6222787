package org.sftnative.template;

/// A piece of a user's text, short enough for a message.
final class Shown {
    private static final int LONGEST = 80;

    private Shown() {}

    static String of(String text) {
        String line = text.replace("\n", "\\n").replace("\r", "\\r");
        return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "...";
    }
}
