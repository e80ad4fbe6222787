package org.sftnative.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Values of expressions.
final class Evaluator {
    private final Interpreter interpreter;
    private final Budget budget;
    private final Filters filters;
    private Value captured = Str.EMPTY;

    Evaluator(Interpreter interpreter, Budget budget) {
        this.interpreter = interpreter;
        this.budget = budget;
        this.filters = new Filters(budget);
    }

    Value value(Expr e, Scope scope) {
        budget.step();
        budget.enter();
        interpreter.at(e.line());
        Value v = switch (e) {
            case Expr.Const c -> c.value();
            case Expr.Name n -> name(n.name(), scope);
            case Expr.ListOf list -> new Seq(values(list.items(), scope), list.kind());
            case Expr.DictOf dict -> {
                Dict.Builder made = new Dict.Builder();
                for (Expr.Pair pair : dict.pairs()) {
                    Value key = value(pair.key(), scope);
                    made.put(key, value(pair.value(), scope));
                }
                yield made.build();
            }
            case Expr.Signed signed -> Numbers.negated(value(signed.operand(), scope), signed.negative());
            case Expr.Not not -> new Value.Bool(!Operators.truth(value(not.operand(), scope)));
            case Expr.Binary b -> Numbers.binary(b.op(), value(b.left(), scope), value(b.right(), scope), budget);
            case Expr.Concat concat -> {
                TextBuilder out = new TextBuilder(budget);
                values(concat.parts(), scope).forEach(part -> out.append(Printer.str(part, budget)));
                yield out.build();
            }
            case Expr.Compare compare -> compare(compare, scope);
            case Expr.Logic logic -> {
                Value left = value(logic.left(), scope);
                yield Operators.truth(left) == logic.and() ? value(logic.right(), scope) : left;
            }
            case Expr.Conditional c -> conditional(c, scope);
            case Expr.Attribute a -> Access.attribute(value(a.of(), scope), a.name());
            case Expr.Item item -> Access.item(value(item.of(), scope), value(item.key(), scope), budget);
            case Expr.Slice s ->
                Access.slice(
                        value(s.of(), scope),
                        s.from().map(x -> value(x, scope)),
                        s.to().map(x -> value(x, scope)),
                        s.step().map(x -> value(x, scope)),
                        budget);
            case Expr.Call call -> call(call, scope, Optional.empty());
            case Expr.Filter f -> {
                Value input = value(f.input(), scope);
                Args args = arguments(f.arguments(), scope);
                interpreter.at(f.line());
                yield filters.apply(f.name(), input, args);
            }
            case Expr.Test t -> {
                Value input = value(t.input(), scope);
                Args args = arguments(t.arguments(), scope);
                interpreter.at(t.line());
                yield new Value.Bool(Tests.test(t.name(), input, args, budget));
            }
            case Expr.Captured _ -> captured;
        };
        budget.leave();
        return v;
    }

    /// A filter block's expression, with the text of the block.
    Value filtered(Expr e, Value text, Scope scope) {
        Value outer = captured;
        captured = text;
        Value v = value(e, scope);
        captured = outer;
        return v;
    }

    private Value name(String name, Scope scope) {
        return scope.find(name)
                .or(() -> Callable.Function.named(name).map(Value.class::cast))
                .orElseGet(() -> new Value.Undefined("'" + Shown.of(name) + "' is undefined"));
    }

    private List<Value> values(List<Expr> expressions, Scope scope) {
        List<Value> values = new ArrayList<>(expressions.size());
        for (Expr e : expressions) {
            values.add(value(e, scope));
        }
        return values;
    }

    private Value compare(Expr.Compare e, Scope scope) {
        Value left = value(e.first(), scope);
        for (Expr.Operand operand : e.rest()) {
            Value right = value(operand.right(), scope);
            if (!Operators.test(operand.comparison(), left, right, budget)) {
                return new Value.Bool(false);
            }
            left = right;
        }
        return new Value.Bool(true);
    }

    private Value conditional(Expr.Conditional c, Scope scope) {
        if (Operators.truth(value(c.test(), scope))) {
            return value(c.then(), scope);
        }
        return c.otherwise()
                .map(e -> value(e, scope))
                .orElseGet(() -> new Value.Undefined("the inline if-expression evaluated to false and has no else"));
    }

    Value call(Expr.Call call, Scope scope, Optional<Value> caller) {
        Value self = new Value.None();
        Value function;
        if (call.function() instanceof Expr.Attribute a) {
            self = value(a.of(), scope);
            function = Access.attribute(self, a.name());
            if (function instanceof Value.Undefined) {
                interpreter.at(call.line());
                throw Methods.missing(self, a.name());
            }
        } else {
            function = value(call.function(), scope);
        }
        Args args = arguments(call.arguments(), scope);
        if (caller.isPresent()) {
            Map<String, Value> named = new LinkedHashMap<>(args.named());
            named.put("caller", caller.get());
            args = new Args(args.positional(), named);
        }
        interpreter.at(call.line());
        return interpreter.call(function, args);
    }

    private Args arguments(Expr.Arguments arguments, Scope scope) {
        if (arguments == Expr.Arguments.NONE) {
            return Args.NONE;
        }
        List<Value> positional = values(arguments.positional(), scope);
        arguments.more().ifPresent(more -> positional.addAll(Operators.toList(value(more, scope), budget)));
        Map<String, Value> named = new LinkedHashMap<>();
        for (Expr.Named argument : arguments.named()) {
            named.put(argument.name(), value(argument.value(), scope));
        }
        arguments.moreNamed().ifPresent(more -> {
            if (!(value(more, scope) instanceof Dict d)) {
                throw new TemplateFault("the argument after ** must be a mapping");
            }
            budget.items(d.size());
            for (Dict.Entry entry : d.entries()) {
                if (!(entry.key() instanceof Str name) || named.put(name.text(), entry.value()) != null) {
                    throw new TemplateFault("keywords must be strings, each once");
                }
            }
        });
        return new Args(positional, named);
    }
}
