package org.sftnative.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// `a.b`, `a[b]` and slices: an attribute is a method first and a key second, a subscript the other way
/// round. What is not there is undefined; only looking into undefined is an error.
final class Access {
    private Access() {}

    static Value attribute(Value of, String name) {
        Operators.defined(of);
        return builtIn(of, name)
                .or(() -> of instanceof Dict d ? d.find(name) : Optional.empty())
                .orElseGet(() -> missing(of, name));
    }

    private static Optional<Value> builtIn(Value of, String name) {
        return switch (of) {
            case Loop loop -> loop.attribute(name);
            case Namespace ns -> Optional.ofNullable(ns.values().get(name));
            case Callable.Cycler cycler when name.equals("current") -> Optional.of(cycler.current());
            case Callable.Macro macro
            when name.equals("name") ->
                Optional.of(Str.template(macro.definition().name()));
            case Seq seq
            when seq.kind() == Seq.Kind.GROUP && name.equals("grouper") ->
                Optional.of(seq.items().getFirst());
            case Seq seq
            when seq.kind() == Seq.Kind.GROUP && name.equals("list") ->
                Optional.of(seq.items().getLast());
            default -> Methods.has(of, name) ? Optional.of(new Callable.Method(of, name)) : Optional.empty();
        };
    }

    private static Value missing(Value of, String name) {
        return new Value.Undefined("'" + of.typeName() + "' has no '" + Shown.of(name) + "'");
    }

    static Value item(Value of, Value key, Budget budget) {
        Operators.defined(of);
        Optional<Value> found = switch (of) {
            case Dict d -> key instanceof Str s ? d.find(s.text()) : isKey(key) ? d.find(key) : Optional.empty();
            case Seq seq when seq.kind().isIndexed() && Numbers.isWhole(key) -> at(seq.items(), Numbers.whole(key));
            case Str s when Numbers.isWhole(key) -> character(s, Numbers.whole(key), budget);
            default -> Optional.empty();
        };
        return found.or(() -> key instanceof Str s ? builtIn(of, s.text()) : Optional.empty())
                .orElseGet(() -> missing(
                        of,
                        key instanceof Str s
                                ? s.text()
                                : Numbers.isWhole(key) ? "[" + Numbers.whole(key) + "]" : key.typeName()));
    }

    private static boolean isKey(Value key) {
        return Numbers.isNumber(key)
                || key instanceof Value.None
                || key instanceof Seq seq && seq.kind().isTuple();
    }

    private static Optional<Value> at(List<Value> items, long index) {
        long place = index < 0 ? index + items.size() : index;
        return place < 0 || place >= items.size() ? Optional.empty() : Optional.of(items.get((int) place));
    }

    private static Optional<Value> character(Str s, long index, Budget budget) {
        String text = s.text();
        budget.characters(text.length() / 8);
        int length = Text.length(text);
        long place = index < 0 ? index + length : index;
        if (place < 0 || place >= length) {
            return Optional.empty();
        }
        int from = Text.offset(text, (int) place);
        return Optional.of(s.slice(from, from + Character.charCount(text.codePointAt(from))));
    }

    static Value slice(Value of, Optional<Value> from, Optional<Value> to, Optional<Value> step, Budget budget) {
        Operators.defined(of);
        boolean sliceable =
                of instanceof Str || of instanceof Seq seq && seq.kind().isIndexed();
        if (!sliceable) {
            throw new TemplateFault("'" + of.typeName() + "' cannot be sliced");
        }
        long stride = bound(step).orElse(1L);
        if (stride == 0) {
            throw new TemplateFault("slice step cannot be zero");
        }
        long length = Operators.length(of, budget).orElseThrow();
        long first = clamp(bound(from), length, stride, stride > 0 ? 0 : length - 1);
        long last = clamp(bound(to), length, stride, stride > 0 ? length : -1);
        if (of instanceof Str s && stride == 1) {
            String text = s.text();
            budget.characters(text.length() / 8);
            return first >= last
                    ? s.slice(0, 0)
                    : s.slice(Text.offset(text, (int) first), Text.offset(text, (int) last));
        }
        List<Value> items = Operators.toList(of, budget);
        List<Value> picked = new ArrayList<>();
        for (long i = first; stride > 0 ? i < last : i > last; i += stride) {
            budget.items(1);
            picked.add(items.get((int) i));
            if (stride > length || stride < -length) {
                break;
            }
        }
        if (of instanceof Seq seq) {
            return new Seq(picked, seq.kind() == Seq.Kind.GROUP ? Seq.Kind.TUPLE : seq.kind());
        }
        TextBuilder out = new TextBuilder(budget);
        picked.forEach(c -> out.append((Str) c));
        return out.build();
    }

    private static Optional<Long> bound(Optional<Value> value) {
        return value.filter(v -> !(v instanceof Value.None)).map(v -> {
            if (!Numbers.isWhole(v)) {
                throw new TemplateFault("slice indices must be integers or None");
            }
            return Numbers.whole(v);
        });
    }

    private static long clamp(Optional<Long> bound, long length, long stride, long fallback) {
        if (bound.isEmpty()) {
            return fallback;
        }
        long lowest = stride > 0 ? 0 : -1;
        long highest = stride > 0 ? length : length - 1;
        long place = bound.get() < 0 ? bound.get() + length : bound.get();
        return Math.max(lowest, Math.min(highest, place));
    }
}
