package org.sftnative.template;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Python's `text % values`, with the conversions `s r d i u f F x X o c %`; others are refused.
final class PercentFormat {
    private static final int MAX_DIGITS = 300;
    private static final Pattern SPEC =
            Pattern.compile("%(?:\\(([^)]*)\\))?([-+ 0#]*)(\\d{0,9}|\\*)(?:\\.(\\d{0,9}))?[hlL]?(.)", Pattern.DOTALL);

    private PercentFormat() {}

    static Str apply(Str format, Value values, Budget budget) {
        if (format.markup()) {
            throw new TemplateFault("'%' on a text marked safe is not supported");
        }
        List<Value> positional = values instanceof Seq seq && seq.kind().isTuple() ? seq.items() : List.of(values);
        boolean single = !(values instanceof Seq seq && seq.kind().isTuple());
        TextBuilder out = new TextBuilder(budget);
        Matcher spec = SPEC.matcher(format.text());
        int from = 0;
        int used = 0;
        int start;
        while ((start = format.text().indexOf('%', from)) >= 0) {
            out.append(format, from, start);
            if (!spec.region(start, format.text().length()).lookingAt()) {
                throw new TemplateFault("incomplete format");
            }
            from = spec.end();
            char conversion = spec.group(5).charAt(0);
            if (conversion == '%') {
                out.append("%", 0);
                continue;
            }
            Value value;
            if (spec.group(1) != null) {
                if (!(values instanceof Dict d)) {
                    throw new TemplateFault("format requires a mapping");
                }
                value = d.find(spec.group(1))
                        .orElseThrow(() -> new TemplateFault("no key '" + Shown.of(spec.group(1)) + "'"));
                used = positional.size();
            } else if (used < positional.size()) {
                value = positional.get(used++);
            } else {
                throw new TemplateFault("not enough arguments for format string");
            }
            pad(
                    out,
                    converted(value, conversion, spec.group(2), spec.group(4), budget),
                    spec.group(2),
                    spec.group(3),
                    conversion,
                    budget);
        }
        if (used < positional.size() && !(single && values instanceof Dict) && !(single && values instanceof Seq)) {
            throw new TemplateFault("not all arguments converted during string formatting");
        }
        return out.append(format, from, format.text().length()).build();
    }

    private static Str converted(Value value, char conversion, String flags, String precision, Budget budget) {
        if (flags.indexOf('#') >= 0) {
            throw new TemplateFault("the format flag '#' is not supported");
        }
        int digits = precision == null ? -1 : precision.isEmpty() ? 0 : Integer.parseInt(precision);
        String sign = flags.indexOf('+') >= 0 ? "+" : flags.indexOf(' ') >= 0 ? " " : "";
        return switch (conversion) {
            case 's', 'r' -> {
                Str text = conversion == 's' ? Printer.str(value, budget) : Printer.repr(value, budget);
                yield digits < 0 || digits >= Text.length(text.text())
                        ? text
                        : text.slice(0, Text.offset(text.text(), digits));
            }
            case 'd', 'i', 'u' ->
                Str.template(signed(
                        number(value, conversion) instanceof Value.Real r && Double.isFinite(r.value())
                                ? Long.toString(Numbers.whole(Numbers.toWhole(new BigDecimal(r.value()))))
                                : Long.toString(Numbers.whole(value)),
                        sign));
            case 'x' -> Str.template(signed(Long.toString(Numbers.whole(value), 16), sign));
            case 'X' ->
                Str.template(signed(Long.toString(Numbers.whole(value), 16).toUpperCase(java.util.Locale.ROOT), sign));
            case 'o' -> Str.template(signed(Long.toString(Numbers.whole(value), 8), sign));
            case 'f', 'F' -> {
                double r = Numbers.real(number(value, conversion));
                if (digits > MAX_DIGITS) {
                    throw new TemplateFault("more than " + MAX_DIGITS + " digits in a format");
                }
                yield Str.template(signed(
                        Double.isFinite(r)
                                ? (1 / r < 0 || r < 0 ? "-" : "")
                                        + new BigDecimal(Math.abs(r))
                                                .setScale(digits < 0 ? 6 : digits, RoundingMode.HALF_EVEN)
                                                .toPlainString()
                                : Printer.real(r),
                        sign));
            }
            case 'c' -> {
                if (value instanceof Str s && Text.length(s.text()) == 1) {
                    yield s;
                }
                throw new TemplateFault("%c requires a character");
            }
            default -> throw new TemplateFault("unsupported format character '" + conversion + "'");
        };
    }

    private static Value number(Value value, char conversion) {
        if (!Numbers.isNumber(Operators.defined(value))) {
            throw new TemplateFault("%" + conversion + " format: a number is required, not " + value.typeName());
        }
        return value;
    }

    private static String signed(String number, String sign) {
        return number.startsWith("-") ? number : sign + number;
    }

    private static void pad(TextBuilder out, Str text, String flags, String width, char conversion, Budget budget) {
        if (width.equals("*")) {
            throw new TemplateFault("the format width '*' is not supported");
        }
        int missing = width.isEmpty() ? 0 : Integer.parseInt(width) - Text.length(text.text());
        if (missing <= 0) {
            out.append(text);
        } else if (flags.indexOf('-') >= 0) {
            out.append(text).append(padding(missing, budget), 0);
        } else if (flags.indexOf('0') >= 0 && "diufFxXo".indexOf(conversion) >= 0) {
            int sign = !text.text().isEmpty() && "+- ".indexOf(text.text().charAt(0)) >= 0 ? 1 : 0;
            budget.characters(missing);
            out.append(text, 0, sign)
                    .append("0".repeat(missing), 0)
                    .append(text, sign, text.text().length());
        } else {
            out.append(padding(missing, budget), 0).append(text);
        }
    }

    /// So many spaces; none if below one.
    static String padding(long count, Budget budget) {
        budget.characters(Math.max(0, count));
        return " ".repeat((int) Math.max(0, Math.min(count, Integer.MAX_VALUE)));
    }
}
