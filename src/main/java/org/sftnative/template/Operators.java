package org.sftnative.template;

import java.util.Iterator;
import java.util.List;
import java.util.Optional;

/// Truth, equality, order and membership, as Python has them.
final class Operators {
    private Operators() {}

    static boolean truth(Value v) {
        return switch (v) {
            case Value.Undefined _, Value.None _ -> false;
            case Value.Bool b -> b.value();
            case Value.Int i -> i.value() != 0;
            case Value.Real r -> r.value() != 0;
            case Str s -> !s.text().isEmpty();
            case Seq seq -> !seq.items().isEmpty();
            case Dict d -> d.size() > 0;
            case Stream _, Namespace _, Callable _ -> true;
        };
    }

    static TemplateFault undefined(Value.Undefined u) {
        return new TemplateFault(u.what());
    }

    /// Fails on an undefined value with what it stands for.
    static Value defined(Value v) {
        if (v instanceof Value.Undefined u) {
            throw undefined(u);
        }
        return v;
    }

    static boolean equal(Value a, Value b, Budget budget) {
        budget.step();
        budget.enter();
        try {
            return equalOnce(a, b, budget);
        } finally {
            budget.leave();
        }
    }

    private static boolean equalOnce(Value a, Value b, Budget budget) {
        if (Numbers.isNumber(a) && Numbers.isNumber(b)) {
            return !Numbers.isNaN(a) && !Numbers.isNaN(b) && Numbers.compare(a, b) == 0;
        }
        return switch (a) {
            case Value.Undefined _ -> b instanceof Value.Undefined;
            case Value.None _ -> b instanceof Value.None;
            case Str s -> {
                budget.characters(s.text().length());
                yield b instanceof Str t && s.text().equals(t.text());
            }
            case Seq x -> b instanceof Seq y && equalItems(x, y, budget);
            case Dict x ->
                b instanceof Dict y
                        && x.size() == y.size()
                        && x.entries().stream()
                                .allMatch(e -> y.find(e.key())
                                        .map(other -> same(e.value(), other, budget))
                                        .orElse(false));
            case Callable.Method m -> b.equals(m);
            default -> a == b;
        };
    }

    private static boolean equalItems(Seq x, Seq y, Budget budget) {
        boolean alike = x.kind() == y.kind() || x.kind().isTuple() && y.kind().isTuple();
        if (!alike || x.items().size() != y.items().size()) {
            return false;
        }
        for (int i = 0; i < x.items().size(); i++) {
            if (!same(x.items().get(i), y.items().get(i), budget)) {
                return false;
            }
        }
        return true;
    }

    /// Equality inside containers: what is identical is equal there, even if it is no number.
    private static boolean same(Value a, Value b, Budget budget) {
        return a == b || equal(a, b, budget);
    }

    /// Negative, zero or positive; numbers, strings, and lists or tuples of such can be compared.
    static int compare(Value a, Value b, String sign, Budget budget) {
        budget.step();
        if (Numbers.isNumber(a) && Numbers.isNumber(b)) {
            return Numbers.compare(a, b);
        }
        if (a instanceof Str s && b instanceof Str t) {
            budget.characters(Math.min(s.text().length(), t.text().length()));
            return compare(s.text(), t.text());
        }
        if (a instanceof Seq x
                && b instanceof Seq y
                && (x.kind() == Seq.Kind.LIST && y.kind() == Seq.Kind.LIST
                        || x.kind().isTuple() && y.kind().isTuple())) {
            budget.enter();
            int shared = Math.min(x.items().size(), y.items().size());
            int order = Integer.compare(x.items().size(), y.items().size());
            for (int i = 0; i < shared; i++) {
                if (!same(x.items().get(i), y.items().get(i), budget)) {
                    order = compare(x.items().get(i), y.items().get(i), sign, budget);
                    break;
                }
            }
            budget.leave();
            return order;
        }
        defined(a);
        defined(b);
        throw new TemplateFault(
                "'" + sign + "' not supported between '" + a.typeName() + "' and '" + b.typeName() + "'");
    }

    /// By code point, as Python compares: UTF-16 order differs where surrogates meet private-use
    /// characters.
    static int compare(String a, String b) {
        int shared = Math.min(a.length(), b.length());
        for (int i = 0; i < shared; i++) {
            if (a.charAt(i) != b.charAt(i)) {
                return Integer.compare(a.codePointAt(i), b.codePointAt(i)) != 0
                                && !Character.isLowSurrogate(a.charAt(i))
                        ? Integer.compare(a.codePointAt(i), b.codePointAt(i))
                        : Character.compare(a.charAt(i), b.charAt(i));
            }
        }
        return Integer.compare(a.length(), b.length());
    }

    static boolean test(Expr.Comparison comparison, Value a, Value b, Budget budget) {
        return switch (comparison) {
            case EQ -> equal(a, b, budget);
            case NE -> !equal(a, b, budget);
            case LT -> ordered(a, b) && compare(a, b, "<", budget) < 0;
            case LE -> ordered(a, b) && compare(a, b, "<=", budget) <= 0;
            case GT -> ordered(a, b) && compare(a, b, ">", budget) > 0;
            case GE -> ordered(a, b) && compare(a, b, ">=", budget) >= 0;
            case IN -> contains(b, a, budget);
            case NOT_IN -> !contains(b, a, budget);
        };
    }

    private static boolean ordered(Value a, Value b) {
        return !(Numbers.isNumber(a) && Numbers.isNumber(b)) || !Numbers.isNaN(a) && !Numbers.isNaN(b);
    }

    static boolean contains(Value container, Value item, Budget budget) {
        budget.step();
        return switch (container) {
            case Str s -> {
                if (!(item instanceof Str part)) {
                    throw new TemplateFault("'in <string>' requires string as left operand, not " + item.typeName());
                }
                budget.search(s.text().length(), part.text().length());
                yield s.text().contains(part.text());
            }
            case Dict d -> d.find(item).isPresent();
            default -> {
                Iterator<Value> items = iterate(container, budget);
                while (items.hasNext()) {
                    if (same(items.next(), item, budget)) {
                        yield true;
                    }
                }
                yield false;
            }
        };
    }

    /// What a for loop goes over: nothing for undefined, characters, keys.
    static Iterator<Value> iterate(Value v, Budget budget) {
        return switch (v) {
            case Value.Undefined _ -> List.<Value>of().iterator();
            case Str s -> characters(s, budget).iterator();
            case Seq seq -> seq.items().iterator();
            case Dict d -> {
                budget.items(d.size());
                yield d.keys().iterator();
            }
            case Stream stream -> stream;
            default -> throw new TemplateFault("'" + v.typeName() + "' object is not iterable");
        };
    }

    /// All that [#iterate] gives; a stream is used up.
    static List<Value> toList(Value v, Budget budget) {
        if (v instanceof Seq seq) {
            return seq.items();
        }
        List<Value> items = new java.util.ArrayList<>();
        iterate(v, budget).forEachRemaining(item -> {
            budget.items(1);
            items.add(item);
        });
        return items;
    }

    private static List<Value> characters(Str s, Budget budget) {
        budget.items(s.text().length());
        List<Value> characters = new java.util.ArrayList<>();
        for (int i = 0; i < s.text().length(); ) {
            int end = i + Character.charCount(s.text().codePointAt(i));
            characters.add(s.slice(i, end));
            i = end;
        }
        return characters;
    }

    static Optional<Long> length(Value v, Budget budget) {
        return switch (v) {
            case Value.Undefined _ -> Optional.of(0L);
            case Str s -> {
                budget.characters(s.text().length() / 8);
                yield Optional.of((long) Text.length(s.text()));
            }
            case Seq seq -> Optional.of((long) seq.items().size());
            case Dict d -> Optional.of((long) d.size());
            default -> Optional.empty();
        };
    }
}
