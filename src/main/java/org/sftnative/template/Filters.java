package org.sftnative.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/// Jinja's filters: those of lists here, those of texts in [TextFilters].
final class Filters {
    private static final Set<String> OF_LISTS = Set.of(
            "batch",
            "count",
            "d",
            "default",
            "dictsort",
            "first",
            "groupby",
            "items",
            "join",
            "last",
            "length",
            "list",
            "map",
            "max",
            "min",
            "reject",
            "rejectattr",
            "reverse",
            "select",
            "selectattr",
            "slice",
            "sort",
            "sum",
            "tojson",
            "unique");

    /// Every filter that a template may use.
    static final Set<String> NAMES = all();

    /// What a list without items costs.
    private static final int LIST = 4;

    private static final Value NONE = new Value.None();
    private final Budget budget;
    private final TextFilters texts;

    Filters(Budget budget) {
        this.budget = budget;
        this.texts = new TextFilters(budget);
    }

    private static Set<String> all() {
        Set<String> names = new HashSet<>(OF_LISTS);
        names.addAll(TextFilters.NAMES);
        return Set.copyOf(names);
    }

    Value apply(String name, Value v, Args args) {
        budget.step();
        if (TextFilters.NAMES.contains(name)) {
            return texts.apply(name, v, args);
        }
        return switch (name) {
            case "default", "d" -> {
                Args.Bound bound = args.bind(name, "default_value", "boolean");
                boolean replaced = v instanceof Value.Undefined || bound.truth(1) && !Operators.truth(v);
                yield replaced ? bound.get(0, Str.EMPTY) : v;
            }
            case "length", "count" -> {
                args.none(name);
                yield new Value.Int(Operators.length(v, budget)
                        .orElseThrow(() -> new TemplateFault("object of type '" + v.typeName() + "' has no len()")));
            }
            case "tojson" -> JsonText.of(v, args, budget);
            case "list" -> {
                args.none(name);
                yield Seq.list(copied(v));
            }
            case "first" -> {
                args.none(name);
                var items = Operators.iterate(v, budget);
                yield items.hasNext() ? items.next() : new Value.Undefined("no first item, sequence was empty");
            }
            case "last" -> {
                args.none(name);
                if (v instanceof Stream) {
                    throw new TemplateFault("an iterator has no last item: make it a list first");
                }
                List<Value> items = Operators.toList(v, budget);
                yield items.isEmpty() ? new Value.Undefined("no last item, sequence was empty") : items.getLast();
            }
            case "reverse" -> {
                args.none(name);
                List<Value> items = new ArrayList<>(copied(v));
                Collections.reverse(items);
                yield v instanceof Str ? joined(items) : v instanceof Stream ? Seq.list(items) : new Stream(items);
            }
            case "join" -> join(v, args);
            case "items" -> {
                args.none(name);
                yield switch (v) {
                    case Value.Undefined _ -> new Stream(List.of());
                    case Dict d -> {
                        budget.items(d.size());
                        yield new Stream(d.items());
                    }
                    default -> throw new TemplateFault("can only get item pairs from a mapping");
                };
            }
            case "map" -> map(v, args);
            case "select", "reject" -> choose(v, args, name.equals("select"), false);
            case "selectattr", "rejectattr" -> choose(v, args, name.equals("selectattr"), true);
            case "sort", "dictsort", "min", "max", "unique", "groupby" -> sorting(name, v, args);
            case "sum" -> {
                Args.Bound bound = args.bind(name, "attribute", "start");
                Value sum = bound.get(1, new Value.Int(0));
                if (sum instanceof Str) {
                    throw new TemplateFault("sum() can't sum strings");
                }
                Function<Value, Value> attribute = attribute(bound.get(0, NONE));
                for (Value item : Operators.toList(v, budget)) {
                    sum = Numbers.binary(Token.Op.PLUS, sum, attribute.apply(item), budget);
                }
                yield sum;
            }
            case "batch" -> batch(v, args.bind(name, "linecount", "fill_with"));
            default -> slices(v, args.bind(name, "slices", "fill_with"));
        };
    }

    private List<Value> copied(Value v) {
        List<Value> items = Operators.toList(v, budget);
        budget.items(items.size());
        return items;
    }

    private Str joined(List<Value> items) {
        TextBuilder out = new TextBuilder(budget);
        items.forEach(item -> out.append((Str) item));
        return out.build();
    }

    private Value join(Value v, Args args) {
        Args.Bound bound = args.bind("join", "d", "attribute");
        Str separator = Printer.str(bound.get(0, Str.EMPTY), budget);
        Function<Value, Value> attribute = attribute(bound.get(1, NONE));
        TextBuilder out = new TextBuilder(budget);
        boolean first = true;
        for (Value item : Operators.toList(v, budget)) {
            if (!first) {
                out.append(separator);
            }
            first = false;
            out.append(Printer.str(attribute.apply(item), budget));
        }
        return out.build();
    }

    /// What gives an item's attribute: a name, an index, several with dots between, or the item itself for
    /// None.
    private Function<Value, Value> attribute(Value attribute) {
        return attribute(attribute, NONE);
    }

    /// The same with what stands for a part that is not there; None for undefined.
    private Function<Value, Value> attribute(Value attribute, Value fallback) {
        if (attribute instanceof Value.None) {
            return item -> item;
        }
        List<Value> parts = new ArrayList<>();
        if (attribute instanceof Str s) {
            for (String part : s.text().split("\\.", -1)) {
                boolean index =
                        !part.isEmpty() && part.length() < 10 && part.chars().allMatch(c -> c >= '0' && c <= '9');
                parts.add(index ? new Value.Int(Integer.parseInt(part)) : Str.template(part));
            }
        } else {
            parts.add(attribute);
        }
        return item -> {
            Value at = item;
            for (Value part : parts) {
                budget.step();
                at = Access.item(at, part, budget);
                if (at instanceof Value.Undefined && !(fallback instanceof Value.None)) {
                    at = fallback;
                }
            }
            return at;
        };
    }

    private Value map(Value v, Args args) {
        Function<Value, Value> function;
        if (args.positional().isEmpty() && args.named().containsKey("attribute")) {
            Args.Bound bound = args.bind("map", "attribute", "default");
            function = attribute(bound.get(0), bound.get(1, NONE));
        } else {
            String name = named(args, 0, "map", NAMES);
            Args rest = args.after(1);
            function = item -> apply(name, item, rest);
        }
        List<Value> made = new ArrayList<>();
        for (Value item : Operators.toList(v, budget)) {
            made.add(function.apply(item));
        }
        return new Stream(made);
    }

    private static String named(Args args, int place, String filter, Set<String> known) {
        if (args.positional().size() <= place || !(args.positional().get(place) instanceof Str name)) {
            throw new TemplateFault(filter + " needs the name of a filter or test");
        }
        if (!known.contains(name.text())) {
            throw new TemplateFault(filter + " is given '" + Shown.of(name.text()) + "', which is unknown");
        }
        return name.text();
    }

    private Value choose(Value v, Args args, boolean keep, boolean byAttribute) {
        int place = byAttribute ? 1 : 0;
        if (args.positional().size() < place) {
            throw new TemplateFault("missing parameter for attribute name");
        }
        Function<Value, Value> attribute =
                byAttribute ? attribute(args.positional().getFirst()) : item -> item;
        Optional<String> test = args.positional().size() > place
                ? Optional.of(named(args, place, "select", Tests.NAMES))
                : Optional.empty();
        Args rest = args.after(place + 1);
        List<Value> kept = new ArrayList<>();
        for (Value item : Operators.toList(v, budget)) {
            budget.step();
            Value asked = attribute.apply(item);
            boolean yes =
                    test.map(name -> Tests.test(name, asked, rest, budget)).orElseGet(() -> Operators.truth(asked));
            if (yes == keep) {
                kept.add(item);
            }
        }
        return new Stream(kept);
    }

    private Value sorting(String name, Value v, Args args) {
        return switch (name) {
            case "sort" -> {
                Args.Bound bound = args.bind(name, "reverse", "case_sensitive", "attribute");
                yield Seq.list(sorted(copied(v), sortKey(bound.get(2, NONE), bound.truth(1)), bound.truth(0)));
            }
            case "dictsort" -> {
                Args.Bound bound = args.bind(name, "case_sensitive", "by", "reverse");
                String by = bound.find(1).map(b -> bound.str(1).text()).orElse("key");
                if (!(v instanceof Dict d) || !by.equals("key") && !by.equals("value")) {
                    throw new TemplateFault("dictsort sorts a mapping by 'key' or 'value'");
                }
                budget.items(d.size());
                Value part = new Value.Int(by.equals("key") ? 0 : 1);
                yield Seq.list(sorted(d.items(), sortKey(part, bound.truth(0)), bound.truth(2)));
            }
            case "min", "max" -> {
                Args.Bound bound = args.bind(name, "case_sensitive", "attribute");
                List<Value> items = Operators.toList(v, budget);
                if (items.isEmpty()) {
                    yield new Value.Undefined("no aggregated item, sequence was empty");
                }
                Function<Value, Value> key = folded(attribute(bound.get(1, NONE)), bound.truth(0));
                Value best = items.getFirst();
                for (Value item : items.subList(1, items.size())) {
                    int order = Operators.compare(key.apply(item), key.apply(best), "<", budget);
                    if (name.equals("min") ? order < 0 : order > 0) {
                        best = item;
                    }
                }
                yield best;
            }
            case "unique" -> {
                Args.Bound bound = args.bind(name, "case_sensitive", "attribute");
                Function<Value, Value> key = folded(attribute(bound.get(1, NONE)), bound.truth(0));
                Set<Object> seen = new HashSet<>();
                List<Value> kept = new ArrayList<>();
                for (Value item : copied(v)) {
                    if (seen.add(Dict.hashed(key.apply(item), 0))) {
                        kept.add(item);
                    }
                }
                yield new Stream(kept);
            }
            default -> groups(v, args.bind(name, "attribute", "default", "case_sensitive"));
        };
    }

    private Value groups(Value v, Args.Bound bound) {
        Function<Value, Value> plain = attribute(bound.get(0), bound.get(1, NONE));
        Function<Value, Value> key = folded(plain, bound.truth(2));
        List<Value> groups = new ArrayList<>();
        List<Value> open = new ArrayList<>();
        for (Value item : sorted(copied(v), key, false)) {
            if (!open.isEmpty() && !Operators.equal(key.apply(open.getFirst()), key.apply(item), budget)) {
                groups.add(group(plain, open));
                open = new ArrayList<>();
            }
            open.add(item);
        }
        if (!open.isEmpty()) {
            groups.add(group(plain, open));
        }
        return Seq.list(groups);
    }

    private static Value group(Function<Value, Value> key, List<Value> items) {
        return new Seq(List.of(key.apply(items.getFirst()), Seq.list(items)), Seq.Kind.GROUP);
    }

    /// One attribute, or several with commas between.
    private Function<Value, Value> sortKey(Value attribute, boolean caseSensitive) {
        if (attribute instanceof Str s && s.text().indexOf(',') >= 0) {
            List<Function<Value, Value>> parts = new ArrayList<>();
            for (String part : s.text().split(",", -1)) {
                parts.add(folded(attribute(Str.template(part)), caseSensitive));
            }
            return item -> Seq.list(parts.stream().map(part -> part.apply(item)).toList());
        }
        return folded(attribute(attribute), caseSensitive);
    }

    private static Function<Value, Value> folded(Function<Value, Value> key, boolean caseSensitive) {
        return caseSensitive ? key : key.andThen(v -> v instanceof Str s ? StringMethods.cased(s, "lower") : v);
    }

    private List<Value> sorted(List<Value> items, Function<Value, Value> key, boolean reverse) {
        List<Map.Entry<Value, Value>> keyed = new ArrayList<>();
        items.forEach(item -> keyed.add(Map.entry(key.apply(item), item)));
        try {
            keyed.sort((a, b) -> {
                int order = Operators.compare(a.getKey(), b.getKey(), "<", budget);
                return reverse ? -order : order;
            });
        } catch (IllegalArgumentException _) {
            throw new TemplateFault("the values have no order: one is not a number");
        }
        return keyed.stream().map(Map.Entry::getValue).toList();
    }

    private Value batch(Value v, Args.Bound bound) {
        long size = bound.whole(0, 0);
        Value fill = bound.get(1, NONE);
        bound.get(0);
        List<Value> batches = new ArrayList<>();
        List<Value> open = new ArrayList<>();
        for (Value item : copied(v)) {
            if (open.size() == size) {
                batches.add(Seq.list(open));
                open = new ArrayList<>();
            }
            open.add(item);
        }
        if (!open.isEmpty()) {
            while (!(fill instanceof Value.None) && open.size() < size) {
                budget.items(1);
                open.add(fill);
            }
            batches.add(Seq.list(open));
        }
        return new Stream(batches);
    }

    private Value slices(Value v, Args.Bound bound) {
        long slices = Numbers.whole(bound.get(0));
        Value fill = bound.get(1, NONE);
        List<Value> items = copied(v);
        if (slices == 0) {
            throw new TemplateFault("division by zero");
        }
        long each = items.size() / slices;
        long longer = items.size() % slices;
        List<Value> made = new ArrayList<>();
        int at = 0;
        for (long i = 0; i < slices; i++) {
            budget.items(LIST);
            int end = (int) (at + each + (i < longer ? 1 : 0));
            List<Value> slice = new ArrayList<>(items.subList(at, end));
            if (!(fill instanceof Value.None) && i >= longer) {
                slice.add(fill);
            }
            made.add(Seq.list(slice));
            at = end;
        }
        return new Stream(made);
    }
}
