package org.sftnative.template;

import java.util.List;
import java.util.Optional;

/// A statement of a template.
sealed interface Stmt {
    int line();

    record Data(Str text, int line) implements Stmt {}

    record Print(List<Expr> values, int line) implements Stmt {}

    record Branch(Expr test, List<Stmt> body) {}

    record If(List<Branch> branches, List<Stmt> otherwise, int line) implements Stmt {}

    record For(
            Target target,
            Expr in,
            Optional<Expr> test,
            boolean recursive,
            List<Stmt> body,
            List<Stmt> otherwise,
            int line)
            implements Stmt {}

    record Set(Target target, Expr value, int line) implements Stmt {}

    /// `{% set x %}..{% endset %}`; `value` is [Expr.Captured], filtered or not.
    record SetBlock(Target target, Expr value, List<Stmt> body, int line) implements Stmt {}

    record Parameter(String name, Optional<Expr> fallback) {}

    /// A macro, or the body of a call block, which is a macro named `caller`.
    record MacroDef(
            String name,
            List<Parameter> parameters,
            List<Stmt> body,
            boolean usesCaller,
            boolean usesVarargs,
            boolean usesKwargs,
            int line)
            implements Stmt {}

    record CallBlock(MacroDef caller, Expr.Call call, int line) implements Stmt {}

    record FilterBlock(Expr value, List<Stmt> body, int line) implements Stmt {}

    record With(List<Target> targets, List<Expr> values, List<Stmt> body, int line) implements Stmt {}

    record Generation(List<Stmt> body, int line) implements Stmt {}

    record Break(int line) implements Stmt {}

    record Continue(int line) implements Stmt {}

    /// What can be assigned to.
    sealed interface Target {
        record Name(String name) implements Target {}

        record Member(String namespace, String name) implements Target {}

        record Unpack(List<Target> targets) implements Target {}
    }
}
