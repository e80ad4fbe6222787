package org.sftnative.template;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;

/// The filter `tojson` as transformers defines it: Python's `json.dumps` without HTML escapes.
final class JsonText {
    private final Budget budget;
    private final TextBuilder out;
    private final boolean asciiOnly;
    private final Optional<Str> indent;
    private final boolean sortKeys;
    private Str between = Str.template(", ");
    private Str afterKey = Str.template(": ");

    private JsonText(Args.Bound args, Budget budget) {
        this.budget = budget;
        this.out = new TextBuilder(budget);
        this.asciiOnly = args.find(0).map(Operators::truth).orElse(false);
        this.indent = args.find(1)
                .filter(v -> !(v instanceof Value.None))
                .map(v -> v instanceof Str s ? s : Str.template(PercentFormat.padding(Numbers.whole(v), budget)));
        this.sortKeys = args.find(3).map(Operators::truth).orElse(false);
        if (indent.isPresent()) {
            between = Str.template(",");
        }
        args.find(2).filter(v -> !(v instanceof Value.None)).ifPresent(v -> {
            List<Value> both = Operators.toList(v, budget);
            if (both.size() != 2 || !(both.get(0) instanceof Str item) || !(both.get(1) instanceof Str key)) {
                throw new TemplateFault("tojson takes two strings as separators");
            }
            between = item;
            afterKey = key;
        });
    }

    static Str of(Value value, Args args, Budget budget) {
        JsonText json = new JsonText(args.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys"), budget);
        json.write(value, 0);
        return json.out.build();
    }

    private void write(Value v, int level) {
        budget.step();
        budget.enter();
        switch (v) {
            case Value.None _ -> out.append("null", 0);
            case Value.Bool b -> out.append(b.value() ? "true" : "false", 0);
            case Value.Int i -> out.append(Long.toString(i.value()), 0);
            case Value.Real r -> out.append(real(r.value()), 0);
            case Str s -> string(s);
            case Seq seq when seq.kind() == Seq.Kind.LIST || seq.kind().isTuple() -> list(seq.items(), level);
            case Dict d -> dict(d, level);
            default -> {
                Operators.defined(v);
                throw new TemplateFault("Object of type " + v.typeName() + " is not JSON serializable");
            }
        }
        budget.leave();
    }

    private static String real(double value) {
        return Double.isNaN(value)
                ? "NaN"
                : Double.isInfinite(value) ? (value < 0 ? "-Infinity" : "Infinity") : Printer.real(value);
    }

    private void list(List<Value> items, int level) {
        if (items.isEmpty()) {
            out.append("[]", 0);
            return;
        }
        out.append("[", 0);
        for (int i = 0; i < items.size(); i++) {
            if (i > 0) {
                out.append(between);
            }
            newline(level + 1);
            write(items.get(i), level + 1);
        }
        newline(level);
        out.append("]", 0);
    }

    private void dict(Dict d, int level) {
        if (d.size() == 0) {
            out.append("{}", 0);
            return;
        }
        out.append("{", 0);
        boolean first = true;
        for (Dict.Entry entry : ordered(d.entries())) {
            if (!first) {
                out.append(between);
            }
            first = false;
            newline(level + 1);
            string(key(entry.key()));
            out.append(afterKey);
            write(entry.value(), level + 1);
        }
        newline(level);
        out.append("}", 0);
    }

    private Collection<Dict.Entry> ordered(Collection<Dict.Entry> entries) {
        if (!sortKeys) {
            return entries;
        }
        List<Dict.Entry> sorted = new ArrayList<>(entries);
        sorted.sort((a, b) -> Operators.compare(a.key(), b.key(), "<", budget));
        return sorted;
    }

    private static Str key(Value key) {
        return switch (key) {
            case Str s -> s;
            case Value.Bool b -> Str.template(b.value() ? "true" : "false");
            case Value.None _ -> Str.template("null");
            case Value.Int i -> Str.template(Long.toString(i.value()));
            case Value.Real r -> Str.template(real(r.value()));
            default -> throw new TemplateFault("keys must be str, int, float, bool or None, not " + key.typeName());
        };
    }

    private void newline(int level) {
        indent.ifPresent(step -> {
            out.append("\n", 0);
            for (int i = 0; i < level; i++) {
                out.append(step);
            }
        });
    }

    private void string(Str s) {
        String text = s.text();
        out.append("\"", 0);
        int from = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c >= ' ' && c != '"' && c != '\\' && (c < 0x7f || !asciiOnly)) {
                continue;
            }
            out.append(s, from, i);
            from = i + 1;
            String escape = switch (c) {
                case '"' -> "\\\"";
                case '\\' -> "\\\\";
                case '\n' -> "\\n";
                case '\r' -> "\\r";
                case '\t' -> "\\t";
                case '\f' -> "\\f";
                case '\b' -> "\\b";
                default -> "\\u%04x".formatted((int) c);
            };
            out.append(escape, s.marks().at(i));
        }
        out.append(s, from, text.length());
        out.append("\"", 0);
    }
}
