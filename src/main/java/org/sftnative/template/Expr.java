package org.sftnative.template;

import java.util.List;
import java.util.Optional;

/// An expression of a template.
sealed interface Expr {
    int line();

    record Const(Value value, int line) implements Expr {}

    record Name(String name, int line) implements Expr {}

    /// `[a, b]` or `(a, b)`.
    record ListOf(List<Expr> items, Seq.Kind kind, int line) implements Expr {}

    record Pair(Expr key, Expr value) {}

    record DictOf(List<Pair> pairs, int line) implements Expr {}

    /// `-x` or `+x`.
    record Signed(boolean negative, Expr operand, int line) implements Expr {}

    record Not(Expr operand, int line) implements Expr {}

    record Binary(Token.Op op, Expr left, Expr right, int line) implements Expr {}

    /// `a ~ b ~ c`.
    record Concat(List<Expr> parts, int line) implements Expr {}

    enum Comparison {
        EQ,
        NE,
        LT,
        LE,
        GT,
        GE,
        IN,
        NOT_IN
    }

    record Operand(Comparison comparison, Expr right) {}

    /// `a < b <= c`: each operand evaluated once, as in Python.
    record Compare(Expr first, List<Operand> rest, int line) implements Expr {}

    /// `a and b`, `a or b`.
    record Logic(boolean and, Expr left, Expr right, int line) implements Expr {}

    record Conditional(Expr test, Expr then, Optional<Expr> otherwise, int line) implements Expr {}

    record Attribute(Expr of, String name, int line) implements Expr {}

    record Item(Expr of, Expr key, int line) implements Expr {}

    record Slice(Expr of, Optional<Expr> from, Optional<Expr> to, Optional<Expr> step, int line) implements Expr {}

    record Named(String name, Expr value) {}

    record Arguments(List<Expr> positional, List<Named> named, Optional<Expr> more, Optional<Expr> moreNamed) {
        static final Arguments NONE = new Arguments(List.of(), List.of(), Optional.empty(), Optional.empty());
    }

    record Call(Expr function, Arguments arguments, int line) implements Expr {}

    record Filter(Expr input, String name, Arguments arguments, int line) implements Expr {}

    record Test(Expr input, String name, Arguments arguments, int line) implements Expr {}

    /// The text of the block that a filter is applied to.
    record Captured(int line) implements Expr {}
}
