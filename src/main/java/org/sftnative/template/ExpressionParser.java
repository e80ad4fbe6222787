package org.sftnative.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.sftnative.template.Token.Op;

/// Reads expressions, with Jinja's precedences: `~` binds tighter than `+`, `**` is left-associative, a
/// filter takes in the sign before its operand.
final class ExpressionParser {
    /// Deeper ones would need a deep Java stack; Python's own limit is 200.
    private static final int MAX_NESTING = 100;

    private final TokenReader in;
    private final OperandParser operands;
    private int depth;

    ExpressionParser(TokenReader in, Names names) {
        this.in = in;
        this.operands = new OperandParser(in, names, this);
    }

    Expr expression() {
        return expression(true);
    }

    private Expr expression(boolean conditional) {
        if (++depth > MAX_NESTING) {
            throw in.fault("an expression is nested deeper than " + MAX_NESTING + " levels");
        }
        Expr made = conditional ? conditional() : or();
        depth--;
        return made;
    }

    /// An expression or, where commas follow, a tuple.
    Expr tuple(boolean conditional) {
        return tuple(conditional, false);
    }

    /// One filter after its `|`, on `input`.
    Expr filter(Expr input) {
        return operands.filter(input);
    }

    Expr tuple(boolean conditional, boolean parenthesised) {
        int line = in.line();
        List<Expr> items = new ArrayList<>();
        boolean tuple = false;
        while (true) {
            if (!items.isEmpty()) {
                in.expect(Op.COMMA);
            }
            if (in.at(Token.Type.BLOCK_END)
                    || in.at(Token.Type.VARIABLE_END)
                    || in.at(Op.RIGHT_PAREN)
                    || in.atName("recursive") && !conditional) {
                break;
            }
            items.add(expression(conditional));
            if (!in.at(Op.COMMA)) {
                break;
            }
            tuple = true;
        }
        if (!tuple && items.size() == 1) {
            return items.getFirst();
        }
        if (!tuple && !parenthesised) {
            throw in.fault("expected an expression, found " + in.current().shown());
        }
        return new Expr.ListOf(items, Seq.Kind.TUPLE, line);
    }

    private Expr conditional() {
        Expr value = or();
        while (in.atName("if")) {
            int line = in.next().line();
            Expr test = or();
            Optional<Expr> otherwise = in.skipName("else") ? Optional.of(expression(true)) : Optional.empty();
            value = new Expr.Conditional(test, value, otherwise, line);
        }
        return value;
    }

    private Expr or() {
        Expr left = and();
        while (in.atName("or")) {
            int line = in.next().line();
            left = new Expr.Logic(false, left, and(), line);
        }
        return left;
    }

    private Expr and() {
        Expr left = not();
        while (in.atName("and")) {
            int line = in.next().line();
            left = new Expr.Logic(true, left, not(), line);
        }
        return left;
    }

    private Expr not() {
        int line = in.line();
        boolean negated = false;
        boolean any = false;
        while (in.skipName("not")) {
            negated = !negated;
            any = true;
        }
        Expr operand = compare();
        if (!any) {
            return operand;
        }
        Expr once = new Expr.Not(operand, line);
        return negated ? once : new Expr.Not(once, line);
    }

    private Expr compare() {
        int line = in.line();
        Expr first = sum();
        List<Expr.Operand> rest = new ArrayList<>();
        while (true) {
            Optional<Expr.Comparison> comparison = comparison();
            if (comparison.isEmpty()) {
                return rest.isEmpty() ? first : new Expr.Compare(first, rest, line);
            }
            rest.add(new Expr.Operand(comparison.get(), sum()));
        }
    }

    private Optional<Expr.Comparison> comparison() {
        if (in.skipName("in")) {
            return Optional.of(Expr.Comparison.IN);
        }
        if (in.atName("not") && in.look().isName("in")) {
            in.next();
            in.next();
            return Optional.of(Expr.Comparison.NOT_IN);
        }
        Optional<Expr.Comparison> found = switch (in.current().op()) {
            case EQ -> Optional.of(Expr.Comparison.EQ);
            case NE -> Optional.of(Expr.Comparison.NE);
            case LT -> Optional.of(Expr.Comparison.LT);
            case LE -> Optional.of(Expr.Comparison.LE);
            case GT -> Optional.of(Expr.Comparison.GT);
            case GE -> Optional.of(Expr.Comparison.GE);
            default -> Optional.empty();
        };
        found.ifPresent(_ -> in.next());
        return found;
    }

    private Expr sum() {
        Expr left = concat();
        while (in.at(Op.PLUS) || in.at(Op.MINUS)) {
            Token op = in.next();
            left = new Expr.Binary(op.op(), left, concat(), op.line());
        }
        return left;
    }

    private Expr concat() {
        int line = in.line();
        Expr first = product();
        if (!in.at(Op.TILDE)) {
            return first;
        }
        List<Expr> parts = new ArrayList<>(List.of(first));
        while (in.skip(Op.TILDE)) {
            parts.add(product());
        }
        return new Expr.Concat(parts, line);
    }

    private Expr product() {
        Expr left = power();
        while (in.at(Op.TIMES) || in.at(Op.DIVIDE) || in.at(Op.FLOOR_DIVIDE) || in.at(Op.MODULO)) {
            Token op = in.next();
            left = new Expr.Binary(op.op(), left, power(), op.line());
        }
        return left;
    }

    private Expr power() {
        Expr left = unary(true);
        while (in.at(Op.POWER)) {
            Token op = in.next();
            left = new Expr.Binary(op.op(), left, unary(true), op.line());
        }
        return left;
    }

    private Expr unary(boolean withFilters) {
        Expr node;
        if (in.at(Op.MINUS) || in.at(Op.PLUS)) {
            if (++depth > MAX_NESTING) {
                throw in.fault("an expression is nested deeper than " + MAX_NESTING + " levels");
            }
            Token sign = in.next();
            node = new Expr.Signed(sign.is(Op.MINUS), unary(false), sign.line());
            depth--;
        } else {
            node = operands.primary();
        }
        node = operands.postfix(node);
        return withFilters ? operands.filtersAndTests(node) : node;
    }
}
