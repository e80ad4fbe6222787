package org.sftnative.template;

import java.time.Clock;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// One rendering: runs statements, calls macros and functions.
final class Interpreter {
    /// How a block ended.
    private enum Flow {
        ON,
        BREAK,
        CONTINUE
    }

    /// Jinja's sandbox has the same.
    private static final long MAX_RANGE = 100_000;

    private static final int SCOPE = 3;

    private final Budget budget;
    private final Clock clock;
    private final Evaluator evaluator;
    private TextBuilder out;
    private int line = 1;
    private int generations;

    Interpreter(Budget budget, Clock clock) {
        this.budget = budget;
        this.clock = clock;
        this.evaluator = new Evaluator(this, budget);
        this.out = new TextBuilder(budget);
    }

    Str render(List<Stmt> body, Scope scope) {
        run(body, scope);
        return out.build();
    }

    /// The line of what runs now, for messages.
    int line() {
        return line;
    }

    void at(int line) {
        this.line = line;
    }

    Budget budget() {
        return budget;
    }

    private Flow run(List<Stmt> body, Scope scope) {
        for (Stmt statement : body) {
            budget.step();
            line = statement.line();
            Flow flow = run(statement, scope);
            if (flow != Flow.ON) {
                return flow;
            }
        }
        return Flow.ON;
    }

    private Flow run(Stmt statement, Scope scope) {
        budget.enter();
        Flow flow = Flow.ON;
        switch (statement) {
            case Stmt.Data data -> out.append(data.text());
            case Stmt.Print print ->
                print.values().forEach(e -> out.append(Printer.str(evaluator.value(e, scope), budget)));
            case Stmt.If block -> flow = conditional(block, scope);
            case Stmt.For block ->
                flow = loop(block, Operators.iterate(evaluator.value(block.in(), scope), budget), scope, 0);
            case Stmt.Set set -> assign(set.target(), evaluator.value(set.value(), scope), scope);
            case Stmt.SetBlock set -> {
                Captured captured = capture(set.body(), new Scope(scope));
                flow = captured.flow();
                if (flow == Flow.ON) {
                    assign(set.target(), evaluator.filtered(set.value(), captured.text(), scope), scope);
                }
            }
            case Stmt.MacroDef macro -> scope.set(macro.name(), new Callable.Macro(macro, scope));
            case Stmt.CallBlock block -> {
                Value caller = new Callable.Macro(block.caller(), scope);
                out.append(Printer.str(evaluator.call(block.call(), scope, Optional.of(caller)), budget));
            }
            case Stmt.FilterBlock block -> {
                Captured captured = capture(block.body(), new Scope(scope));
                flow = captured.flow();
                if (flow == Flow.ON) {
                    out.append(Printer.str(evaluator.filtered(block.value(), captured.text(), scope), budget));
                }
            }
            case Stmt.With with -> {
                Scope inner = new Scope(scope);
                for (int i = 0; i < with.targets().size(); i++) {
                    assign(with.targets().get(i), evaluator.value(with.values().get(i), scope), inner);
                }
                flow = run(with.body(), inner);
            }
            case Stmt.Generation generation -> {
                Str text = capture(generation.body(), new Scope(scope)).text();
                out.appendGenerated(text, ++generations);
            }
            case Stmt.Break _ -> flow = Flow.BREAK;
            case Stmt.Continue _ -> flow = Flow.CONTINUE;
        }
        budget.leave();
        return flow;
    }

    private record Captured(Str text, Flow flow) {}

    private Captured capture(List<Stmt> body, Scope scope) {
        TextBuilder outer = out;
        out = new TextBuilder(budget);
        Flow flow = run(body, scope);
        Str text = out.build();
        out = outer;
        return new Captured(text, flow);
    }

    private Flow conditional(Stmt.If block, Scope scope) {
        for (Stmt.Branch branch : block.branches()) {
            if (Operators.truth(evaluator.value(branch.test(), scope))) {
                return run(branch.body(), scope);
            }
        }
        return run(block.otherwise(), scope);
    }

    private Flow loop(Stmt.For block, Iterator<Value> items, Scope scope, int depth) {
        Iterator<Value> source = block.test().isPresent() ? new Chosen(block, items, scope) : items;
        Loop loop = new Loop(source, block, scope, depth);
        boolean completed = false;
        Flow flow = Flow.ON;
        while (flow != Flow.BREAK && loop.advance()) {
            // a pass makes a scope with its map
            budget.items(SCOPE);
            Scope inner = new Scope(scope);
            inner.set("loop", loop);
            assign(block.target(), loop.item(), inner);
            flow = run(block.body(), inner);
            // as in Jinja: a body that was left by break or continue does not count as a pass for else
            completed |= flow == Flow.ON;
        }
        return completed ? Flow.ON : run(block.otherwise(), new Scope(scope));
    }

    /// The items that a loop's own condition lets through, asked when they are wanted.
    private final class Chosen implements Iterator<Value> {
        private final Stmt.For block;
        private final Iterator<Value> items;
        private final Scope scope;
        private Optional<Value> next = Optional.empty();

        Chosen(Stmt.For block, Iterator<Value> items, Scope scope) {
            this.block = block;
            this.items = items;
            this.scope = scope;
        }

        @Override
        public boolean hasNext() {
            while (next.isEmpty() && items.hasNext()) {
                Value item = items.next();
                budget.items(SCOPE);
                Scope inner = new Scope(scope);
                assign(block.target(), item, inner);
                if (Operators.truth(evaluator.value(block.test().orElseThrow(), inner))) {
                    next = Optional.of(item);
                }
            }
            return next.isPresent();
        }

        @Override
        public Value next() {
            Value item = next.orElseThrow();
            next = Optional.empty();
            return item;
        }
    }

    private void assign(Stmt.Target target, Value value, Scope scope) {
        switch (target) {
            case Stmt.Target.Name name -> scope.set(name.name(), value);
            case Stmt.Target.Member member -> {
                if (!(scope.find(member.namespace()).orElse(new Value.None()) instanceof Namespace ns)) {
                    throw new TemplateFault(
                            "cannot assign attribute on non-namespace object '" + member.namespace() + "'");
                }
                ns.values().put(member.name(), value);
            }
            case Stmt.Target.Unpack unpack -> {
                List<Value> values = Operators.toList(value, budget);
                if (values.size() != unpack.targets().size()) {
                    throw new TemplateFault(values.size() + " values to unpack, "
                            + unpack.targets().size() + " names");
                }
                for (int i = 0; i < values.size(); i++) {
                    assign(unpack.targets().get(i), values.get(i), scope);
                }
            }
        }
    }

    Value call(Value function, Args args) {
        budget.step();
        return switch (function) {
            case Callable.Function f -> function(f, args);
            case Callable.Method m -> Methods.call(m.self(), m.name(), args, budget);
            case Callable.Macro m -> macro(m, args);
            case Callable.Joiner j -> {
                args.none("joiner");
                yield j.call();
            }
            case Callable.LoopMethod m -> {
                args.after(args.positional().size()).none("loop." + m.name());
                yield m.name().equals("cycle")
                        ? m.loop().cycle(args.positional())
                        : new Value.Bool(m.loop().changed(args.positional(), budget));
            }
            case Loop loop -> recurse(loop, args);
            default -> {
                Operators.defined(function);
                throw new TemplateFault("'" + function.typeName() + "' object is not callable");
            }
        };
    }

    private Value recurse(Loop loop, Args args) {
        if (!loop.block().recursive()) {
            throw new TemplateFault("the loop must have the 'recursive' marker to be called");
        }
        Value items = args.bindPositional("loop", "iterable").get(0);
        budget.enter();
        TextBuilder outer = out;
        out = new TextBuilder(budget);
        loop(loop.block(), Operators.iterate(items, budget), loop.scope(), loop.depth() + 1);
        Str text = out.build();
        out = outer;
        budget.leave();
        return text;
    }

    private Value macro(Callable.Macro macro, Args args) {
        Stmt.MacroDef m = macro.definition();
        Scope inner = new Scope(macro.scope());
        Map<String, Value> named = new LinkedHashMap<>(args.named());
        int given = Math.min(args.positional().size(), m.parameters().size());
        for (int i = 0; i < given; i++) {
            inner.set(m.parameters().get(i).name(), args.positional().get(i));
        }
        for (Stmt.Parameter parameter :
                m.parameters().subList(given, m.parameters().size())) {
            Value value = named.remove(parameter.name());
            if (value == null) {
                value = parameter
                        .fallback()
                        .map(fallback -> evaluator.value(fallback, inner))
                        .orElseGet(() -> new Value.Undefined("parameter '" + parameter.name() + "' was not provided"));
            }
            inner.set(parameter.name(), value);
        }
        if (m.usesCaller()) {
            Value caller = named.remove("caller");
            inner.set("caller", caller == null ? new Value.Undefined("no caller defined") : caller);
        }
        if (m.usesKwargs()) {
            Dict.Builder rest = new Dict.Builder();
            named.forEach((name, value) -> rest.put(Str.template(name), value));
            inner.set("kwargs", rest.build());
        } else if (!named.isEmpty()) {
            throw new TemplateFault("macro '" + m.name() + "' takes no keyword argument '"
                    + named.keySet().iterator().next() + "'");
        }
        if (m.usesVarargs()) {
            inner.set(
                    "varargs",
                    new Seq(
                            new ArrayList<>(args.positional()
                                    .subList(given, args.positional().size())),
                            Seq.Kind.TUPLE));
        } else if (args.positional().size() > given) {
            throw new TemplateFault("macro '" + m.name() + "' takes not more than "
                    + m.parameters().size() + " argument(s)");
        }
        return capture(m.body(), inner).text();
    }

    private Value function(Callable.Function f, Args args) {
        return switch (f) {
            case RANGE -> range(args.bindPositional("range", "start", "stop", "step"));
            case DICT -> dict(args);
            case NAMESPACE -> {
                Namespace made = new Namespace();
                for (Dict.Entry entry : dict(args).entries()) {
                    made.values().put(Printer.str(entry.key(), budget).text(), entry.value());
                }
                yield made;
            }
            case CYCLER -> {
                args.after(args.positional().size()).none("cycler");
                if (args.positional().isEmpty()) {
                    throw new TemplateFault("at least one item has to be provided");
                }
                yield new Callable.Cycler(args.positional());
            }
            case JOINER -> new Callable.Joiner(args.bind("joiner", "sep").get(0, Str.template(", ")));
            case RAISE_EXCEPTION ->
                throw new Refusal(
                        Printer.str(args.bind("raise_exception", "message").get(0), budget)
                                .text());
            case STRFTIME_NOW ->
                Strftime.format(args.bind("strftime_now", "format").str(0), clock, budget);
        };
    }

    /// A template's own `raise_exception`.
    static final class Refusal extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Refusal(String message) {
            super(message, null, false, false);
        }
    }

    private Dict dict(Args args) {
        Dict.Builder made = new Dict.Builder();
        if (args.positional().size() > 1) {
            throw new TemplateFault("dict takes at most 1 positional argument");
        }
        if (!args.positional().isEmpty()) {
            if (args.positional().getFirst() instanceof Dict d) {
                budget.items(d.size());
                d.entries().forEach(entry -> made.put(entry.key(), entry.value()));
            } else {
                for (Value pair : Operators.toList(args.positional().getFirst(), budget)) {
                    List<Value> both = Operators.toList(pair, budget);
                    if (both.size() != 2) {
                        throw new TemplateFault("dict takes pairs, not " + both.size() + " values");
                    }
                    made.put(both.get(0), both.get(1));
                }
            }
        }
        args.named().forEach((name, value) -> made.put(Str.template(name), value));
        return made.build();
    }

    private Value range(Args.Bound args) {
        long start = args.find(1).isPresent() ? Numbers.whole(args.get(0)) : 0;
        long stop = Numbers.whole(args.find(1).orElse(args.get(0)));
        long step = args.whole(2, 1);
        if (step == 0) {
            throw new TemplateFault("range() arg 3 must not be zero");
        }
        List<Value> numbers = new ArrayList<>();
        for (long i = start; step > 0 ? i < stop : i > stop; i += step) {
            budget.items(1);
            numbers.add(new Value.Int(i));
            if (numbers.size() > MAX_RANGE) {
                throw new TemplateFault("range too big: more than " + MAX_RANGE + " numbers");
            }
            if (step > 0 ? i > Long.MAX_VALUE - step : i < Long.MIN_VALUE - step) {
                break;
            }
        }
        return new Seq(numbers, Seq.Kind.RANGE);
    }
}
