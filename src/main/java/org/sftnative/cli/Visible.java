package org.sftnative.cli;

/// Text of rows, made fit to be looked at: whatever would move the cursor, change colours or turn the direction of
/// writing is shown and not done.
final class Visible {
    private Visible() {}

    /// A newline is ↵, a tab ⇥, another control character its picture or its number.
    static String of(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints().forEach(c -> {
            switch (Character.getType(c)) {
                case Character.CONTROL -> out.append(control(c));
                case Character.FORMAT,
                        Character.SURROGATE,
                        Character.LINE_SEPARATOR,
                        Character.PARAGRAPH_SEPARATOR,
                        Character.PRIVATE_USE -> out.append("\\u{%X}".formatted(c));
                default -> out.appendCodePoint(c);
            }
        });
        return out.toString();
    }

    private static String control(int c) {
        return switch (c) {
            case '\n' -> "↵";
            case '\t' -> "⇥";
            case 0x7F -> "␡";
            default -> c < 0x20 ? Character.toString(0x2400 + c) : "\\u{%X}".formatted(c);
        };
    }

    /// Columns that a terminal gives to a text.
    static int width(String text) {
        return text.codePoints()
                .map(c -> switch (Character.getType(c)) {
                    case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK -> 0;
                    default -> isWide(c) ? 2 : 1;
                })
                .sum();
    }

    private static boolean isWide(int c) {
        return c >= 0x1100 && c <= 0x115F
                || c >= 0x2E80 && c <= 0xA4CF
                || c >= 0xAC00 && c <= 0xD7A3
                || c >= 0xF900 && c <= 0xFAFF
                || c >= 0xFE30 && c <= 0xFE6F
                || c >= 0xFF00 && c <= 0xFF60
                || c >= 0xFFE0 && c <= 0xFFE6
                || c >= 0x1F300 && c <= 0x1FAFF
                || c >= 0x20000 && c <= 0x3FFFD;
    }
}
