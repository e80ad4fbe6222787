package org.sftnative.template;

import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// The methods of maps and lists, and which methods there are. What changes a list or map is refused when
/// called, as in Jinja's immutable sandbox.
final class Methods {
    private static final Set<String> DICT = Set.of("get", "items", "keys", "values", "copy");
    private static final Set<String> LIST = Set.of("count", "index", "copy");
    private static final Set<String> TUPLE = Set.of("count", "index");
    private static final Set<String> CYCLER = Set.of("next", "reset");
    private static final Set<String> LOOP = Set.of("cycle", "changed");
    private static final Set<String> CHANGING = Set.of(
            "append",
            "clear",
            "extend",
            "insert",
            "pop",
            "popitem",
            "remove",
            "reverse",
            "setdefault",
            "sort",
            "update");

    /// Every method that a template may call.
    static final Set<String> NAMES = all();

    private Methods() {}

    private static Set<String> all() {
        Set<String> names = new HashSet<>(StringMethods.NAMES);
        List.of(DICT, LIST, CYCLER, LOOP, CHANGING).forEach(names::addAll);
        return Set.copyOf(names);
    }

    static boolean has(Value of, String name) {
        return switch (of) {
            case Str _ -> StringMethods.NAMES.contains(name) || StringMethods.NOT_SUPPORTED.contains(name);
            case Dict _ -> DICT.contains(name);
            case Seq seq when seq.kind() == Seq.Kind.LIST -> LIST.contains(name);
            case Seq seq when seq.kind().isTuple() || seq.kind() == Seq.Kind.RANGE -> TUPLE.contains(name);
            case Callable.Cycler _ -> CYCLER.contains(name);
            default -> false;
        };
    }

    static Value call(Value self, String name, Args args, Budget budget) {
        budget.step();
        return switch (self) {
            case Str s -> StringMethods.call(s, name, args, budget);
            case Dict d -> dict(d, name, args, budget);
            case Seq seq -> sequence(seq, name, args, budget);
            case Callable.Cycler cycler -> {
                args.none(name);
                if (name.equals("next")) {
                    yield cycler.next();
                }
                cycler.reset();
                yield new Value.None();
            }
            default -> throw new TemplateFault("'" + self.typeName() + "' has no method '" + name + "'");
        };
    }

    private static Value dict(Dict d, String name, Args args, Budget budget) {
        if (name.equals("get")) {
            Args.Bound bound = args.bindPositional("get", "key", "default");
            return d.find(bound.get(0)).orElse(bound.get(1, new Value.None()));
        }
        args.none(name);
        budget.items(d.size());
        return switch (name) {
            case "items" -> new Seq(d.items(), Seq.Kind.ITEMS);
            case "keys" -> new Seq(d.keys(), Seq.Kind.KEYS);
            case "values" -> new Seq(d.values(), Seq.Kind.VALUES);
            default -> d;
        };
    }

    private static Value sequence(Seq seq, String name, Args args, Budget budget) {
        if (name.equals("copy")) {
            args.none(name);
            return seq;
        }
        if (name.equals("count")) {
            Value wanted = args.bindPositional("count", "value").get(0);
            return new Value.Int(seq.items().stream()
                    .filter(item -> Operators.equal(item, wanted, budget))
                    .count());
        }
        Args.Bound bound = args.bindPositional("index", "value", "start", "stop");
        int size = seq.items().size();
        long start = StringMethods.place(bound.whole(1, 0), size);
        long stop = StringMethods.place(bound.whole(2, size), size);
        for (long i = start; i < stop; i++) {
            if (Operators.equal(seq.items().get((int) i), bound.get(0), budget)) {
                return new Value.Int(i);
            }
        }
        throw new TemplateFault("the value is not in the list");
    }

    /// What a call of a method that does not exist says.
    static TemplateFault missing(Value of, String name) {
        boolean changes = CHANGING.contains(name) && (of instanceof Dict || of instanceof Seq);
        return new TemplateFault("'" + of.typeName() + "' has no method '" + Shown.of(name) + "'"
                + (changes ? " that a template may use: lists and maps cannot be changed" : ""));
    }
}
