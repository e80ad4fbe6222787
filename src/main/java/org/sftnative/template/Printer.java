package org.sftnative.template;

import java.math.BigDecimal;
import java.util.Collection;

/// Values as text: Python's `str` and `repr`.
final class Printer {
    private final TextBuilder out;
    private final Budget budget;

    private Printer(Budget budget) {
        this.budget = budget;
        this.out = new TextBuilder(budget);
    }

    /// `str(v)`: what printing shows. A string is itself, undefined nothing.
    static Str str(Value v, Budget budget) {
        return switch (v) {
            case Str s -> s;
            case Value.Undefined _ -> Str.EMPTY;
            default -> repr(v, budget);
        };
    }

    /// `repr(v)`.
    static Str repr(Value v, Budget budget) {
        Printer printer = new Printer(budget);
        printer.write(v);
        return printer.out.build();
    }

    private void write(Value v) {
        budget.step();
        budget.enter();
        switch (v) {
            case Value.None _ -> out.append("None", 0);
            case Value.Bool b -> out.append(b.value() ? "True" : "False", 0);
            case Value.Int i -> out.append(Long.toString(i.value()), 0);
            case Value.Real r -> out.append(real(r.value()), 0);
            case Value.Undefined _ -> out.append("Undefined", 0);
            case Str s -> quoted(s);
            case Seq seq -> sequence(seq);
            case Dict d -> dict(d);
            case Stream _, Namespace _, Callable _ ->
                throw new TemplateFault("a " + v.typeName() + " cannot be printed as text");
        }
        budget.leave();
    }

    private void sequence(Seq seq) {
        switch (seq.kind()) {
            case LIST -> items("[", seq.items(), "]");
            case TUPLE -> items("(", seq.items(), seq.items().size() == 1 ? ",)" : ")");
            case GROUP, RANGE ->
                throw new TemplateFault("a " + seq.kind().typeName() + " of this kind cannot be printed");
            case KEYS, VALUES, ITEMS -> items(seq.kind().typeName() + "([", seq.items(), "])");
        }
    }

    private void items(String open, Collection<Value> items, String close) {
        out.append(open, 0);
        String separator = "";
        for (Value item : items) {
            out.append(separator, 0);
            write(item);
            separator = ", ";
        }
        out.append(close, 0);
    }

    private void dict(Dict d) {
        out.append("{", 0);
        String separator = "";
        for (Dict.Entry entry : d.entries()) {
            out.append(separator, 0);
            write(entry.key());
            out.append(": ", 0);
            write(entry.value());
            separator = ", ";
        }
        out.append("}", 0);
    }

    private void quoted(Str s) {
        String text = s.text();
        int kind = s.marks().blurred();
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        StringBuilder made = new StringBuilder().append(quote);
        text.codePoints().forEach(c -> {
            switch (c) {
                case '\\' -> made.append("\\\\");
                case '\n' -> made.append("\\n");
                case '\r' -> made.append("\\r");
                case '\t' -> made.append("\\t");
                default -> {
                    if (c == quote) {
                        made.append('\\').append(quote);
                    } else if (isPrintable(c)) {
                        made.appendCodePoint(c);
                    } else {
                        made.append(
                                c < 0x100
                                        ? "\\x%02x".formatted(c)
                                        : c < 0x10000 ? "\\u%04x".formatted(c) : "\\U%08x".formatted(c));
                    }
                }
            }
        });
        out.append(made.append(quote).toString(), kind);
    }

    private static boolean isPrintable(int c) {
        return c == ' '
                || switch (Character.getType(c)) {
                    case Character.CONTROL,
                            Character.FORMAT,
                            Character.SURROGATE,
                            Character.PRIVATE_USE,
                            Character.UNASSIGNED,
                            Character.LINE_SEPARATOR,
                            Character.PARAGRAPH_SEPARATOR,
                            Character.SPACE_SEPARATOR -> false;
                    default -> true;
                };
    }

    /// `repr` of a float: the shortest digits that give it back, plain from 1e-4 to below 1e16.
    static String real(double value) {
        if (Double.isNaN(value)) {
            return "nan";
        }
        if (Double.isInfinite(value)) {
            return value < 0 ? "-inf" : "inf";
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0.0" : "0.0";
        }
        BigDecimal shortest = new BigDecimal(Double.toString(Math.abs(value))).stripTrailingZeros();
        if (shortest.precision() == 2) {
            // Java always writes two digits, Python one where it is enough: 5e-324
            BigDecimal one = shortest.round(new java.math.MathContext(1));
            shortest = one.doubleValue() == Math.abs(value) ? one.stripTrailingZeros() : shortest;
        }
        String digits = shortest.unscaledValue().toString();
        int exponent = digits.length() - shortest.scale() - 1;
        String sign = value < 0 ? "-" : "";
        if (exponent < -4 || exponent >= 16) {
            String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
            return sign + digits.charAt(0) + fraction + "e" + (exponent < 0 ? "-" : "+")
                    + "%02d".formatted(Math.abs(exponent));
        }
        String plain = shortest.toPlainString();
        return sign + (plain.indexOf('.') < 0 ? plain + ".0" : plain);
    }
}
