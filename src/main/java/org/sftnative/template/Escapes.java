package org.sftnative.template;

/// Backslash escapes of string literals, as Python's.
final class Escapes {
    private Escapes() {}

    static String decoded(String text) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c != '\\') {
                out.append(c);
                continue;
            }
            c = text.charAt(++i);
            switch (c) {
                case '\n' -> {}
                case '\\', '\'', '"' -> out.append(c);
                case 'a' -> out.append('\u0007');
                case 'b' -> out.append('\b');
                case 'f' -> out.append('\f');
                case 'n' -> out.append('\n');
                case 'r' -> out.append('\r');
                case 't' -> out.append('\t');
                case 'v' -> out.append('\u000b');
                case 'x', 'u', 'U' -> {
                    int digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                    out.appendCodePoint(hex(text, i, digits));
                    i += digits;
                }
                case 'N' -> throw new TemplateFault("the escape \\N{...} is not supported: write the character itself");
                default -> {
                    if (c >= '0' && c <= '7') {
                        int end = i + 1;
                        while (end < text.length()
                                && end < i + 3
                                && text.charAt(end) >= '0'
                                && text.charAt(end) <= '7') {
                            end++;
                        }
                        out.append((char) Integer.parseInt(text, i, end, 8));
                        i = end - 1;
                    } else if (c > 0x7f) {
                        throw new TemplateFault("a backslash before '" + c + "' is no escape");
                    } else {
                        out.append('\\').append(c);
                    }
                }
            }
        }
        return out.toString();
    }

    private static int hex(String text, int letter, int digits) {
        int value = 0;
        for (int i = letter + 1; i <= letter + digits; i++) {
            int digit = i < text.length() && text.charAt(i) < 0x80 ? Character.digit(text.charAt(i), 16) : -1;
            if (digit < 0) {
                throw new TemplateFault("the escape \\" + text.charAt(letter) + " needs " + digits + " hex digits");
            }
            value = value << 4 | digit;
        }
        if (!Character.isValidCodePoint(value)) {
            throw new TemplateFault("the escape \\" + text.charAt(letter) + " is no Unicode character");
        }
        return value;
    }
}
