package org.sftnative.template;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntPredicate;

/// The methods of strings. Indices are code points, as in Python.
final class StringMethods {
    static final Set<String> NAMES = Set.of(
            "capitalize",
            "casefold",
            "center",
            "count",
            "endswith",
            "find",
            "format",
            "index",
            "isalnum",
            "isalpha",
            "isascii",
            "isdecimal",
            "isdigit",
            "islower",
            "isnumeric",
            "isspace",
            "isupper",
            "join",
            "ljust",
            "lower",
            "lstrip",
            "partition",
            "removeprefix",
            "removesuffix",
            "replace",
            "rfind",
            "rindex",
            "rjust",
            "rpartition",
            "rsplit",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "swapcase",
            "title",
            "upper",
            "zfill");
    /// Python has these too: a template that calls one is refused.
    static final Set<String> NOT_SUPPORTED = Set.of(
            "encode", "expandtabs", "format_map", "isidentifier", "isprintable", "istitle", "maketrans", "translate");

    private StringMethods() {}

    static Value call(Str s, String name, Args args, Budget budget) {
        budget.characters(s.text().length());
        Value result = switch (name) {
            case "strip", "lstrip", "rstrip" -> {
                Optional<Str> characters = args.bindPositional(name, "chars").findStr(0);
                yield strip(s, characters, !name.equals("rstrip"), !name.equals("lstrip"), budget);
            }
            case "split", "rsplit" -> Splitting.split(s, name, args, budget);
            case "splitlines" ->
                Seq.list(Text.lines(s, args.bind(name, "keepends").truth(0)));
            case "startswith", "endswith" -> new Value.Bool(affix(s, name, args));
            case "replace" -> {
                refuseMarkup(s, name);
                Args.Bound bound = args.bindPositional(name, "old", "new", "count");
                yield Text.replace(s, bound.str(0), bound.str(1), bound.whole(2, -1), budget);
            }
            case "join" -> {
                refuseMarkup(s, name);
                yield join(
                        s,
                        Operators.toList(args.bindPositional(name, "iterable").get(0), budget),
                        budget);
            }
            case "find", "rfind", "index", "rindex", "count" -> search(s, name, args, budget);
            case "removeprefix" -> {
                String prefix = args.bindPositional(name, "prefix").str(0).text();
                yield s.text().startsWith(prefix)
                        ? s.slice(prefix.length(), s.text().length())
                        : s;
            }
            case "removesuffix" -> {
                String suffix = args.bindPositional(name, "suffix").str(0).text();
                yield s.text().endsWith(suffix) ? s.slice(0, s.text().length() - suffix.length()) : s;
            }
            case "partition", "rpartition" -> partition(s, name, args, budget);
            case "center", "ljust", "rjust" -> {
                Args.Bound bound = args.bindPositional(name, "width", "fillchar");
                yield pad(s, name, bound.whole(0, 0), bound.get(1, Str.template(" ")), budget);
            }
            case "zfill" -> {
                long missing = args.bindPositional(name, "width").whole(0, 0) - Text.length(s.text());
                int sign = s.text().startsWith("-") || s.text().startsWith("+") ? 1 : 0;
                budget.characters(Math.max(0, missing));
                yield new TextBuilder(budget)
                        .append(s, 0, sign)
                        .append("0".repeat((int) Math.max(0, missing)), 0)
                        .append(s, sign, s.text().length())
                        .build();
            }
            case "format" -> FormatMethod.apply(s, args, budget);
            default -> {
                args.none(name);
                yield name.startsWith("is") ? new Value.Bool(is(s.text(), name)) : cased(s, name);
            }
        };
        return result;
    }

    static void refuseMarkup(Str s, String what) {
        if (s.markup()) {
            throw new TemplateFault("'" + what + "' on a text marked safe is not supported");
        }
    }

    private static Str strip(Str s, Optional<Str> characters, boolean left, boolean right, Budget budget) {
        characters.ifPresent(c -> budget.characters(c.text().length()));
        return Text.strip(s, characters.map(Str::text).orElse(""), characters.isEmpty(), left, right);
    }

    /// The text in another case.
    static Str cased(Str s, String how) {
        String text = s.text();
        return s.withText(
                switch (how) {
                    case "upper" -> text.toUpperCase(Locale.ROOT);
                    case "lower" -> text.toLowerCase(Locale.ROOT);
                    case "casefold" ->
                        text.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT).replace('\u03c2', '\u03c3');
                    case "capitalize" ->
                        text.isEmpty()
                                ? text
                                : titled(text.codePointAt(0))
                                        + lowered(text, Character.charCount(text.codePointAt(0)), text.length());
                    case "swapcase" -> swapped(text);
                    default -> title(text);
                });
    }

    private static String titled(int c) {
        String upper = Character.toString(c).toUpperCase(Locale.ROOT);
        // what becomes two letters keeps the second small: a sharp s, a ligature
        return upper.codePointCount(0, upper.length()) > 1
                ? upper.charAt(0) + upper.substring(1).toLowerCase(Locale.ROOT)
                : Character.toString(Character.toTitleCase(c));
    }

    /// Lower case of a part, with the letters around it in view for the final sigma.
    private static String lowered(String text, int from, int to) {
        String before = text.substring(0, from).toLowerCase(Locale.ROOT);
        return text.substring(0, to).toLowerCase(Locale.ROOT).substring(before.length());
    }

    private static String title(String text) {
        StringBuilder out = new StringBuilder();
        boolean inWord = false;
        int word = 0;
        for (int i = 0; i < text.length(); ) {
            int c = text.codePointAt(i);
            int next = i + Character.charCount(c);
            if (!isCased(c)) {
                out.appendCodePoint(c);
                inWord = false;
            } else if (inWord) {
                out.append(Character.toString(c).toLowerCase(Locale.ROOT));
            } else {
                out.append(titled(c));
                inWord = true;
            }
            i = next;
        }
        return out.toString();
    }

    private static String swapped(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints().forEach(c -> {
            String one = Character.toString(c);
            out.append(Character.isUpperCase(c) ? one.toLowerCase(Locale.ROOT) : one.toUpperCase(Locale.ROOT));
        });
        return out.toString();
    }

    private static boolean isCased(int c) {
        return Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
    }

    private static boolean is(String text, String name) {
        IntPredicate each = switch (name) {
            case "isalpha" -> Character::isLetter;
            case "isalnum" -> c -> Character.isLetter(c) || isNumeric(c);
            case "isdecimal" -> Character::isDigit;
            case "isdigit" -> c -> Character.isDigit(c) || isSuperscriptDigit(c);
            case "isnumeric" -> StringMethods::isNumeric;
            case "isspace" -> Text::isSpace;
            case "isascii" -> c -> c < 0x80;
            case "islower" -> c -> !Character.isUpperCase(c) && !Character.isTitleCase(c);
            default -> c -> !Character.isLowerCase(c) && !Character.isTitleCase(c);
        };
        boolean cased = name.equals("islower") || name.equals("isupper");
        return (name.equals("isascii") || !text.isEmpty())
                && text.codePoints().allMatch(each)
                && (!cased || text.codePoints().anyMatch(StringMethods::isCased));
    }

    private static boolean isNumeric(int c) {
        int type = Character.getType(c);
        return type == Character.DECIMAL_DIGIT_NUMBER
                || type == Character.LETTER_NUMBER
                || type == Character.OTHER_NUMBER;
    }

    private static boolean isSuperscriptDigit(int c) {
        return c == 0xb2
                || c == 0xb3
                || c == 0xb9
                || c >= 0x2070 && c <= 0x2089 && isNumeric(c)
                || c >= 0x2460 && c <= 0x2468;
    }

    private static boolean affix(Str s, String name, Args args) {
        Args.Bound bound = args.bindPositional(name, "affix", "start", "end");
        int[] range = range(s.text(), bound);
        Value wanted = bound.get(0);
        List<Value> all = wanted instanceof Seq seq && seq.kind().isTuple() ? seq.items() : List.of(wanted);
        String part = range[0] > range[1] ? "" : s.text().substring(range[0], range[1]);
        for (Value one : all) {
            if (!(one instanceof Str affix)) {
                Operators.defined(one);
                throw new TemplateFault(name + " takes a string or a tuple of strings, not " + one.typeName());
            }
            if (range[0] <= range[1]
                    && (name.equals("startswith") ? part.startsWith(affix.text()) : part.endsWith(affix.text()))) {
                return true;
            }
        }
        return false;
    }

    static long place(long index, long length) {
        return Math.max(0, Math.min(index < 0 ? index + length : index, length));
    }

    /// UTF-16 offsets of the arguments start and end at places 1 and 2; start after end if start is past
    /// the text.
    private static int[] range(String text, Args.Bound bound) {
        long length = Text.length(text);
        long start = bound.find(1)
                .filter(v -> !(v instanceof Value.None))
                .map(Numbers::whole)
                .orElse(0L);
        long end = bound.find(2)
                .filter(v -> !(v instanceof Value.None))
                .map(Numbers::whole)
                .orElse(length);
        if (start > length) {
            return new int[] {1, 0};
        }
        return new int[] {Text.offset(text, (int) place(start, length)), Text.offset(text, (int) place(end, length))};
    }

    private static Value search(Str s, String name, Args args, Budget budget) {
        Args.Bound bound = args.bindPositional(name, "sub", "start", "end");
        String part = bound.str(0).text();
        int[] range = range(s.text(), bound);
        budget.search(s.text().length(), part.length());
        boolean none = range[0] > range[1];
        String within = none ? "" : s.text().substring(range[0], range[1]);
        if (name.equals("count")) {
            return new Value.Int(none ? 0 : count(within, part));
        }
        int found = none ? -1 : name.startsWith("r") ? within.lastIndexOf(part) : within.indexOf(part);
        if (found < 0) {
            if (name.endsWith("index")) {
                throw new TemplateFault("substring not found");
            }
            return new Value.Int(-1);
        }
        return new Value.Int(Text.length(s.text().substring(0, range[0] + found)));
    }

    private static long count(String text, String part) {
        if (part.isEmpty()) {
            return Text.length(text) + 1L;
        }
        long count = 0;
        for (int at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length())) {
            count++;
        }
        return count;
    }

    private static Value partition(Str s, String name, Args args, Budget budget) {
        Str separator = args.bindPositional(name, "sep").str(0);
        Splitting.refuseEmpty(separator.text());
        budget.search(s.text().length(), separator.text().length());
        boolean left = name.equals("partition");
        int found = left ? s.text().indexOf(separator.text()) : s.text().lastIndexOf(separator.text());
        if (found < 0) {
            return left ? Seq.tuple(s, Str.EMPTY, Str.EMPTY) : Seq.tuple(Str.EMPTY, Str.EMPTY, s);
        }
        int end = found + separator.text().length();
        return Seq.tuple(
                s.slice(0, found), s.slice(found, end), s.slice(end, s.text().length()));
    }

    /// `center`, `ljust` or `rjust`.
    static Str pad(Str s, String name, long width, Value fill, Budget budget) {
        if (!(fill instanceof Str f) || Text.length(f.text()) != 1) {
            throw new TemplateFault("the fill character must be exactly one character long");
        }
        long missing = Math.max(0, width - Text.length(s.text()));
        long left = switch (name) {
            case "center" -> missing / 2 + (missing & width & 1);
            case "ljust" -> 0;
            default -> missing;
        };
        TextBuilder out = new TextBuilder(budget);
        for (long i = 0; i < left; i++) {
            out.append(f);
        }
        out.append(s);
        for (long i = left; i < missing; i++) {
            out.append(f);
        }
        return out.build();
    }

    static Str join(Str separator, List<Value> items, Budget budget) {
        TextBuilder out = new TextBuilder(budget);
        for (int i = 0; i < items.size(); i++) {
            if (!(items.get(i) instanceof Str item)) {
                throw new TemplateFault("sequence item " + i + ": expected str instance, "
                        + items.get(i).typeName() + " found");
            }
            if (i > 0) {
                out.append(separator);
            }
            out.append(item);
        }
        return out.build();
    }
}
