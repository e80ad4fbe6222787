package org.sftnative.template;

import java.util.Set;

/// Jinja's tests, what stands after `is`.
final class Tests {
    /// Every test that a template may use; the signs are names that `select` takes.
    static final Set<String> NAMES = Set.of(
            "boolean",
            "callable",
            "defined",
            "divisibleby",
            "eq",
            "equalto",
            "escaped",
            "even",
            "false",
            "filter",
            "float",
            "ge",
            "greaterthan",
            "gt",
            "in",
            "integer",
            "iterable",
            "le",
            "lessthan",
            "lower",
            "lt",
            "mapping",
            "ne",
            "none",
            "number",
            "odd",
            "sameas",
            "sequence",
            "string",
            "test",
            "true",
            "undefined",
            "upper",
            "==",
            "!=",
            ">",
            ">=",
            "<",
            "<=");

    private Tests() {}

    static boolean test(String name, Value v, Args args, Budget budget) {
        budget.step();
        return switch (name) {
            case "eq", "equalto", "==" -> Operators.test(Expr.Comparison.EQ, v, other(name, args), budget);
            case "ne", "!=" -> Operators.test(Expr.Comparison.NE, v, other(name, args), budget);
            case "lt", "lessthan", "<" -> Operators.test(Expr.Comparison.LT, v, other(name, args), budget);
            case "le", "<=" -> Operators.test(Expr.Comparison.LE, v, other(name, args), budget);
            case "gt", "greaterthan", ">" -> Operators.test(Expr.Comparison.GT, v, other(name, args), budget);
            case "ge", ">=" -> Operators.test(Expr.Comparison.GE, v, other(name, args), budget);
            case "in" -> Operators.contains(other(name, args), v, budget);
            case "divisibleby" -> Operators.equal(remainder(v, other(name, args), budget), new Value.Int(0), budget);
            case "sameas" -> same(v, other(name, args), budget);
            default -> {
                args.none("the test '" + name + "'");
                yield of(name, v, budget);
            }
        };
    }

    private static Value other(String name, Args args) {
        return args.bindPositional("the test '" + name + "'", "other").get(0);
    }

    private static Value remainder(Value v, Value divisor, Budget budget) {
        return Numbers.binary(Token.Op.MODULO, v, divisor, budget);
    }

    /// Python's `is`: for what has no identity here, the same type and value.
    private static boolean same(Value a, Value b, Budget budget) {
        return a == b
                || a.getClass() == b.getClass()
                        && (a instanceof Value.None || Numbers.isNumber(a) || a instanceof Str)
                        && Operators.equal(a, b, budget);
    }

    private static boolean of(String name, Value v, Budget budget) {
        return switch (name) {
            case "defined" -> !(v instanceof Value.Undefined);
            case "undefined" -> v instanceof Value.Undefined;
            case "none" -> v instanceof Value.None;
            case "boolean" -> v instanceof Value.Bool;
            case "true" -> v instanceof Value.Bool b && b.value();
            case "false" -> v instanceof Value.Bool b && !b.value();
            case "integer" -> v instanceof Value.Int;
            case "float" -> v instanceof Value.Real;
            case "number" -> Numbers.isNumber(v);
            case "string" -> v instanceof Str;
            case "mapping" -> v instanceof Dict;
            case "sequence" ->
                v instanceof Str
                        || v instanceof Dict
                        || v instanceof Value.Undefined
                        || v instanceof Seq seq && seq.kind().isIndexed();
            case "iterable" ->
                v instanceof Str
                        || v instanceof Dict
                        || v instanceof Value.Undefined
                        || v instanceof Seq
                        || v instanceof Stream
                        || v instanceof Loop;
            case "callable" -> v instanceof Value.Undefined || v instanceof Callable && !(v instanceof Callable.Cycler);
            case "odd" -> Operators.equal(remainder(v, new Value.Int(2), budget), new Value.Int(1), budget);
            case "even" -> Operators.equal(remainder(v, new Value.Int(2), budget), new Value.Int(0), budget);
            case "lower", "upper" -> {
                String method = "is" + name;
                yield Operators.truth(StringMethods.call(Printer.str(v, budget), method, Args.NONE, budget));
            }
            case "escaped" -> v instanceof Str s && s.markup();
            case "filter" -> v instanceof Str s && Filters.NAMES.contains(s.text());
            default -> v instanceof Str s && NAMES.contains(s.text());
        };
    }
}
