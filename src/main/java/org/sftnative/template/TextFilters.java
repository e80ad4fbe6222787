package org.sftnative.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/// Jinja's filters of texts and numbers.
final class TextFilters {
    static final Set<String> NAMES = Set.of(
            "abs",
            "capitalize",
            "center",
            "e",
            "escape",
            "float",
            "forceescape",
            "format",
            "indent",
            "int",
            "lower",
            "replace",
            "round",
            "safe",
            "string",
            "title",
            "trim",
            "upper",
            "wordcount");

    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d+(?:_\\d+)*", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern REAL = Pattern.compile(
            "[+-]?(?:\\d+(?:_\\d+)*\\.?(?:\\d+(?:_\\d+)*)?|\\.\\d+(?:_\\d+)*)(?:[eE][+-]?\\d+(?:_\\d+)*)?");
    private static final Pattern SPECIAL = Pattern.compile("([+-]?)(inf|infinity|nan)", Pattern.CASE_INSENSITIVE);
    private static final int LONGEST_NUMBER = 4300;

    private final Budget budget;

    TextFilters(Budget budget) {
        this.budget = budget;
    }

    Value apply(String name, Value v, Args args) {
        return switch (name) {
            case "int" -> {
                Args.Bound bound = args.bind(name, "default", "base");
                yield whole(v, (int) Math.clamp(bound.whole(1, 10), -1, 37))
                        .orElseGet(() -> bound.get(0, new Value.Int(0)));
            }
            case "float" -> {
                Args.Bound bound = args.bind(name, "default");
                yield real(v).<Value>map(Value.Real::new).orElseGet(() -> bound.get(0, new Value.Real(0)));
            }
            case "abs" -> {
                args.none(name);
                if (!Numbers.isNumber(Operators.defined(v))) {
                    throw new TemplateFault("bad operand type for abs(): '" + v.typeName() + "'");
                }
                yield Numbers.negated(v, Numbers.real(v) < 0 || v instanceof Value.Real r && 1 / r.value() < 0);
            }
            case "round" -> round(v, args.bind(name, "precision", "method"));
            default -> text(name, v, args);
        };
    }

    private Value text(String name, Value v, Args args) {
        if (name.equals("escape") || name.equals("e")) {
            args.none(name);
            return v instanceof Str s && s.markup() ? s : Printer.str(v, budget).escaped(budget);
        }
        Str s = Printer.str(v, budget);
        budget.characters(s.text().length());
        return switch (name) {
            case "trim" -> {
                Optional<Str> characters = args.bind(name, "chars").findStr(0);
                yield Text.strip(s, characters.map(Str::text).orElse(""), characters.isEmpty(), true, true);
            }
            case "replace" -> {
                StringMethods.refuseMarkup(s, name);
                Args.Bound bound = args.bind(name, "old", "new", "count");
                long count = bound.find(2)
                        .filter(c -> !(c instanceof Value.None))
                        .map(Numbers::whole)
                        .orElse(-1L);
                yield Text.replace(
                        s, Printer.str(bound.get(0), budget), Printer.str(bound.get(1), budget), count, budget);
            }
            case "center" ->
                StringMethods.pad(s, name, args.bind(name, "width").whole(0, 80), Str.template(" "), budget);
            case "indent" -> indent(s, args.bind(name, "width", "first", "blank"));
            case "format" -> {
                if (!args.named().isEmpty() && !args.positional().isEmpty()) {
                    throw new TemplateFault("can't handle positional and keyword arguments at the same time");
                }
                Dict.Builder named = new Dict.Builder();
                args.named().forEach((key, value) -> named.put(Str.template(key), value));
                yield PercentFormat.apply(
                        s, args.named().isEmpty() ? new Seq(args.positional(), Seq.Kind.TUPLE) : named.build(), budget);
            }
            default -> {
                args.none(name);
                yield switch (name) {
                    case "string" -> s;
                    case "safe" -> s.asMarkup();
                    case "forceescape" -> s.plain().escaped(budget);
                    case "title" -> s.withText(title(s.text()));
                    case "wordcount" -> new Value.Int(words(s.text()));
                    default -> StringMethods.cased(s, name);
                };
            }
        };
    }

    private static String title(String text) {
        StringBuilder out = new StringBuilder();
        int from = 0;
        while (from < text.length()) {
            int end = from;
            boolean between = isBetweenWords(text.charAt(from));
            while (end < text.length() && isBetweenWords(text.charAt(end)) == between) {
                end++;
            }
            String part = text.substring(from, end);
            int first = Character.charCount(part.codePointAt(0));
            out.append(part.substring(0, first).toUpperCase(java.util.Locale.ROOT))
                    .append(part.substring(first).toLowerCase(java.util.Locale.ROOT));
            from = end;
        }
        return out.toString();
    }

    private static boolean isBetweenWords(char c) {
        return Text.isSpace(c) || "-({[<".indexOf(c) >= 0;
    }

    private static long words(String text) {
        long words = 0;
        boolean inWord = false;
        for (int i = 0; i < text.length(); i += Character.charCount(text.codePointAt(i))) {
            int c = text.codePointAt(i);
            boolean word = c == '_' || Character.isLetterOrDigit(c) || Character.getType(c) == Character.OTHER_NUMBER;
            words += word && !inWord ? 1 : 0;
            inWord = word;
        }
        return words;
    }

    private Value indent(Str s, Args.Bound bound) {
        StringMethods.refuseMarkup(s, "indent");
        Value width = bound.get(0, new Value.Int(4));
        Str step = width instanceof Str w ? w : Str.template(PercentFormat.padding(Numbers.whole(width), budget));
        // one newline more, so that a last empty line is a line
        List<Value> lines =
                Text.lines(new TextBuilder(budget).append(s).append("\n", 0).build(), false);
        TextBuilder out = new TextBuilder(budget);
        boolean blank = bound.truth(2);
        for (int i = 0; i < lines.size(); i++) {
            Str line = (Str) lines.get(i);
            if (i > 0) {
                out.append("\n", 0);
            }
            if (i == 0 ? bound.truth(1) : blank || !line.text().isEmpty()) {
                out.append(step);
            }
            out.append(line);
        }
        return out.build();
    }

    private static Value round(Value v, Args.Bound bound) {
        long precision = bound.whole(0, 0);
        String method = bound.find(1).map(m -> bound.str(1).text()).orElse("common");
        if (!Numbers.isNumber(Operators.defined(v))) {
            throw new TemplateFault("type " + v.typeName() + " cannot be rounded");
        }
        if (method.equals("common")) {
            return Numbers.rounded(v, precision);
        }
        if (!method.equals("ceil") && !method.equals("floor") || Math.abs(precision) > 300) {
            throw new TemplateFault("method must be common, ceil or floor");
        }
        double scale = Math.pow(10, precision);
        double scaled = Numbers.real(v) * scale;
        if (!Double.isFinite(scaled)) {
            throw new TemplateFault("cannot convert float infinity or NaN to integer");
        }
        return new Value.Real((method.equals("ceil") ? Math.ceil(scaled) : Math.floor(scaled)) / scale);
    }

    /// Python's `int(v)`, also of texts such as `42.5`; empty where it fails.
    private Optional<Value> whole(Value v, int base) {
        if (Numbers.isWhole(v)) {
            return Optional.of(new Value.Int(Numbers.whole(v)));
        }
        if (v instanceof Str s) {
            budget.characters(s.text().length());
            Optional<Value> whole = parsed(strip(s.text()), base);
            if (whole.isPresent()) {
                return whole;
            }
        }
        Optional<Double> real = real(v);
        if (v instanceof Value.Real r && Double.isInfinite(r.value())) {
            throw new TemplateFault("cannot convert float infinity to integer");
        }
        return real.filter(Double::isFinite).map(r -> Numbers.toWhole(new BigDecimal(r)));
    }

    private static String strip(String text) {
        return Text.strip(Str.template(text), "", true, true, true).text();
    }

    private static Optional<Value> parsed(String text, int base) {
        if (text.length() > LONGEST_NUMBER) {
            return Optional.empty();
        }
        if (base == 10) {
            return WHOLE.matcher(text).matches()
                    ? Optional.of(Numbers.toWhole(new BigDecimal(new BigInteger(text.replace("_", "")))))
                    : Optional.empty();
        }
        if (base < 2 || base > 36) {
            throw new TemplateFault("int() takes a base from 2 to 36");
        }
        String digits = text.toLowerCase(java.util.Locale.ROOT);
        String sign = digits.startsWith("-") || digits.startsWith("+") ? digits.substring(0, 1) : "";
        String rest = digits.substring(sign.length());
        String prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "\0";
        rest = rest.startsWith(prefix) ? rest.substring(2) : rest;
        try {
            return rest.startsWith("-") || rest.startsWith("+")
                    ? Optional.empty()
                    : Optional.of(Numbers.toWhole(new BigDecimal(new BigInteger(sign + rest, base))));
        } catch (NumberFormatException _) {
            return Optional.empty();
        }
    }

    private Optional<Double> real(Value v) {
        if (Numbers.isNumber(v)) {
            return Optional.of(Numbers.real(v));
        }
        if (!(v instanceof Str s)) {
            Operators.defined(v);
            return Optional.empty();
        }
        budget.characters(s.text().length());
        String text = strip(s.text());
        if (text.length() > LONGEST_NUMBER) {
            return Optional.empty();
        }
        var special = SPECIAL.matcher(text);
        if (special.matches()) {
            double value = special.group(2).equalsIgnoreCase("nan") ? Double.NaN : Double.POSITIVE_INFINITY;
            return Optional.of(special.group(1).equals("-") ? -value : value);
        }
        return REAL.matcher(text).matches() ? Optional.of(Double.parseDouble(text.replace("_", ""))) : Optional.empty();
    }
}
