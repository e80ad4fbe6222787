package org.sftnative.template;

import java.util.ArrayList;
import java.util.List;

/// Strings as Python sees them: white space, code points, lines.
final class Text {
    private Text() {}

    /// Python's `str.isspace` of a character.
    static boolean isSpace(int c) {
        return c >= 9 && c <= 13
                || c >= 28 && c <= 32
                || c == 0x85
                || c == 0xa0
                || c == 0x1680
                || c >= 0x2000 && c <= 0x200a
                || c == 0x2028
                || c == 0x2029
                || c == 0x202f
                || c == 0x205f
                || c == 0x3000;
    }

    static boolean isLineEnd(char c) {
        return c >= 10 && c <= 13 || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029;
    }

    static int length(String text) {
        return text.codePointCount(0, text.length());
    }

    /// UTF-16 offset of a code point's index.
    static int offset(String text, int index) {
        return text.offsetByCodePoints(0, index);
    }

    /// `str.splitlines`.
    static List<Value> lines(Str s, boolean keepEnds) {
        List<Value> lines = new ArrayList<>();
        String text = s.text();
        int from = 0;
        int i = 0;
        while (i < text.length()) {
            if (!isLineEnd(text.charAt(i))) {
                i++;
                continue;
            }
            int end = i;
            i += text.startsWith("\r\n", i) ? 2 : 1;
            lines.add(s.slice(from, keepEnds ? i : end));
            from = i;
        }
        if (from < text.length()) {
            lines.add(s.slice(from, text.length()));
        }
        return lines;
    }

    /// `str.strip` from one or both sides.
    ///
    /// @param characters what to strip; if empty and `spaces`, white space
    static Str strip(Str s, String characters, boolean spaces, boolean left, boolean right) {
        String text = s.text();
        int from = 0;
        int to = text.length();
        while (left && from < to && strips(text.codePointAt(from), characters, spaces)) {
            from += Character.charCount(text.codePointAt(from));
        }
        while (right && to > from && strips(text.codePointBefore(to), characters, spaces)) {
            to -= Character.charCount(text.codePointBefore(to));
        }
        return s.slice(from, to);
    }

    private static boolean strips(int c, String characters, boolean spaces) {
        return spaces ? isSpace(c) : characters.indexOf(c) >= 0;
    }

    /// `str.replace`; the marks of kept and of inserted text stay.
    static Str replace(Str s, Str old, Str with, long count, Budget budget) {
        budget.search(s.text().length(), old.text().length());
        TextBuilder out = new TextBuilder(budget);
        String text = s.text();
        int from = 0;
        long left = count < 0 ? Long.MAX_VALUE : count;
        if (old.text().isEmpty()) {
            while (left-- > 0) {
                out.append(with);
                if (from >= text.length()) {
                    return out.build();
                }
                int next = from + Character.charCount(text.codePointAt(from));
                out.append(s, from, next);
                from = next;
            }
        } else {
            int found;
            while (left-- > 0 && (found = text.indexOf(old.text(), from)) >= 0) {
                out.append(s, from, found).append(with);
                from = found + old.text().length();
            }
        }
        return out.append(s, from, text.length()).build();
    }
}
