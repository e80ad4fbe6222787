package org.sftnative.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/// `str.split` and `str.rsplit`: at a separator or at white space, from the left or the right.
final class Splitting {
    private Splitting() {}

    /// `split` or `rsplit`.
    static Value split(Str s, String name, Args args, Budget budget) {
        Args.Bound bound = args.bind(name, "sep", "maxsplit");
        Optional<Str> separator = bound.findStr(0);
        long limit = bound.whole(1, -1);
        long max = limit < 0 ? Long.MAX_VALUE : limit;
        boolean fromRight = name.equals("rsplit");
        separator.ifPresent(sep -> budget.search(s.text().length(), sep.text().length()));
        List<Value> parts = separator.isPresent()
                ? (fromRight
                        ? splitRight(s, separator.get().text(), max)
                        : splitLeft(s, separator.get().text(), max))
                : (fromRight ? wordsRight(s, max) : wordsLeft(s, max));
        budget.items(parts.size());
        return Seq.list(parts);
    }

    static void refuseEmpty(String separator) {
        if (separator.isEmpty()) {
            throw new TemplateFault("empty separator");
        }
    }

    private static List<Value> splitLeft(Str s, String separator, long max) {
        refuseEmpty(separator);
        List<Value> parts = new ArrayList<>();
        int from = 0;
        int found;
        while (parts.size() < max && (found = s.text().indexOf(separator, from)) >= 0) {
            parts.add(s.slice(from, found));
            from = found + separator.length();
        }
        parts.add(s.slice(from, s.text().length()));
        return parts;
    }

    private static List<Value> splitRight(Str s, String separator, long max) {
        refuseEmpty(separator);
        List<Value> parts = new ArrayList<>();
        int to = s.text().length();
        int found;
        while (parts.size() < max && (found = s.text().lastIndexOf(separator, to - separator.length())) >= 0) {
            parts.add(s.slice(found + separator.length(), to));
            to = found;
        }
        parts.add(s.slice(0, to));
        Collections.reverse(parts);
        return parts;
    }

    private static List<Value> wordsLeft(Str s, long max) {
        List<Value> parts = new ArrayList<>();
        Str rest = Text.strip(s, "", true, true, false);
        while (!rest.text().isEmpty()) {
            int end = 0;
            while (end < rest.text().length() && !Text.isSpace(rest.text().charAt(end))) {
                end++;
            }
            if (parts.size() >= max) {
                parts.add(rest);
                return parts;
            }
            parts.add(rest.slice(0, end));
            while (end < rest.text().length() && Text.isSpace(rest.text().charAt(end))) {
                end++;
            }
            rest = rest.slice(end, rest.text().length());
        }
        return parts;
    }

    private static List<Value> wordsRight(Str s, long max) {
        List<Value> parts = new ArrayList<>();
        Str rest = Text.strip(s, "", true, false, true);
        while (!rest.text().isEmpty()) {
            if (parts.size() >= max) {
                parts.add(rest);
                break;
            }
            int from = rest.text().length();
            while (from > 0 && !Text.isSpace(rest.text().charAt(from - 1))) {
                from--;
            }
            parts.add(rest.slice(from, rest.text().length()));
            while (from > 0 && Text.isSpace(rest.text().charAt(from - 1))) {
                from--;
            }
            rest = rest.slice(0, from);
        }
        Collections.reverse(parts);
        return parts;
    }
}
