package org.sftnative.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.sftnative.template.Token.Op;

/// Reads operands: literals, names, what follows them with a dot or in brackets, filters and tests.
final class OperandParser {
    private final TokenReader in;
    private final Names names;
    private final ExpressionParser expressions;

    OperandParser(TokenReader in, Names names, ExpressionParser expressions) {
        this.in = in;
        this.names = names;
        this.expressions = expressions;
    }

    Expr primary() {
        Token token = in.current();
        int line = token.line();
        switch (token.type()) {
            case NAME -> {
                in.next();
                return switch (token.text()) {
                    case "true", "True" -> new Expr.Const(new Value.Bool(true), line);
                    case "false", "False" -> new Expr.Const(new Value.Bool(false), line);
                    case "none", "None" -> new Expr.Const(new Value.None(), line);
                    default -> {
                        names.read(token.text());
                        yield new Expr.Name(token.text(), line);
                    }
                };
            }
            case STRING -> {
                StringBuilder text = new StringBuilder();
                while (in.at(Token.Type.STRING)) {
                    text.append(in.next().text());
                }
                return new Expr.Const(Str.template(text.toString()), line);
            }
            case INTEGER, REAL -> {
                return new Expr.Const(number(in.next()), line);
            }
            default -> {
                if (in.skip(Op.LEFT_PAREN)) {
                    Expr inner = expressions.tuple(true, true);
                    in.expect(Op.RIGHT_PAREN);
                    return inner;
                }
                if (in.at(Op.LEFT_BRACKET)) {
                    return list();
                }
                if (in.at(Op.LEFT_BRACE)) {
                    return dict();
                }
                throw in.fault("unexpected " + token.shown());
            }
        }
    }

    private Value number(Token token) {
        String text = token.text().replace("_", "");
        if (token.type() == Token.Type.REAL) {
            return new Value.Real(Double.parseDouble(text));
        }
        try {
            int radix = text.length() < 2
                    ? 10
                    : switch (text.charAt(1)) {
                        case 'x', 'X' -> 16;
                        case 'o', 'O' -> 8;
                        case 'b', 'B' -> 2;
                        default -> 10;
                    };
            return new Value.Int(Long.parseLong(radix == 10 ? text : text.substring(2), radix));
        } catch (NumberFormatException _) {
            throw new LineFault("the whole number " + Shown.of(text) + " does not fit 64 bits", token.line());
        }
    }

    private Expr list() {
        int line = in.next().line();
        List<Expr> items = new ArrayList<>();
        while (!in.at(Op.RIGHT_BRACKET)) {
            items.add(expressions.expression());
            if (!in.at(Op.RIGHT_BRACKET)) {
                in.expect(Op.COMMA);
            }
        }
        in.next();
        return new Expr.ListOf(items, Seq.Kind.LIST, line);
    }

    private Expr dict() {
        int line = in.next().line();
        List<Expr.Pair> pairs = new ArrayList<>();
        while (!in.at(Op.RIGHT_BRACE)) {
            Expr key = expressions.expression();
            in.expect(Op.COLON);
            pairs.add(new Expr.Pair(key, expressions.expression()));
            if (!in.at(Op.RIGHT_BRACE)) {
                in.expect(Op.COMMA);
            }
        }
        in.next();
        return new Expr.DictOf(pairs, line);
    }

    Expr postfix(Expr node) {
        Expr made = node;
        while (true) {
            if (in.at(Op.DOT)) {
                int line = in.next().line();
                if (in.at(Token.Type.INTEGER)) {
                    made = new Expr.Item(made, new Expr.Const(number(in.next()), line), line);
                } else {
                    made = new Expr.Attribute(made, in.expectName(), line);
                }
            } else if (in.at(Op.LEFT_BRACKET)) {
                made = subscript(made);
            } else if (in.at(Op.LEFT_PAREN)) {
                made = call(made);
            } else {
                return made;
            }
        }
    }

    private Expr subscript(Expr of) {
        int line = in.next().line();
        Optional<Expr> from = in.at(Op.COLON) ? Optional.empty() : Optional.of(tupleKey());
        if (!in.at(Op.COLON)) {
            in.expect(Op.RIGHT_BRACKET);
            return new Expr.Item(of, from.orElseThrow(), line);
        }
        in.next();
        Optional<Expr> to = bound();
        Optional<Expr> step = in.skip(Op.COLON) ? bound() : Optional.empty();
        in.expect(Op.RIGHT_BRACKET);
        return new Expr.Slice(of, from, to, step, line);
    }

    private Expr tupleKey() {
        int line = in.line();
        Expr first = expressions.expression();
        if (!in.at(Op.COMMA)) {
            return first;
        }
        List<Expr> items = new ArrayList<>(List.of(first));
        while (in.skip(Op.COMMA) && !in.at(Op.RIGHT_BRACKET)) {
            items.add(expressions.expression());
        }
        return new Expr.ListOf(items, Seq.Kind.TUPLE, line);
    }

    private Optional<Expr> bound() {
        return in.at(Op.COLON) || in.at(Op.RIGHT_BRACKET) ? Optional.empty() : Optional.of(expressions.expression());
    }

    private Expr.Call call(Expr function) {
        int line = in.line();
        Expr.Arguments arguments = arguments();
        names.checkCall(function, arguments, line);
        return new Expr.Call(function, arguments, line);
    }

    private Expr.Arguments arguments() {
        in.expect(Op.LEFT_PAREN);
        List<Expr> positional = new ArrayList<>();
        List<Expr.Named> named = new ArrayList<>();
        Optional<Expr> more = Optional.empty();
        Optional<Expr> moreNamed = Optional.empty();
        while (!in.at(Op.RIGHT_PAREN)) {
            if (in.at(Op.TIMES) && more.isEmpty() && moreNamed.isEmpty()) {
                in.next();
                more = Optional.of(expressions.expression());
            } else if (in.at(Op.POWER) && moreNamed.isEmpty()) {
                in.next();
                moreNamed = Optional.of(expressions.expression());
            } else if (in.at(Token.Type.NAME) && in.look().is(Op.ASSIGN) && moreNamed.isEmpty()) {
                String name = in.next().text();
                in.next();
                if (named.stream().anyMatch(n -> n.name().equals(name))) {
                    throw in.fault("argument '" + name + "' is given twice");
                }
                named.add(new Expr.Named(name, expressions.expression()));
            } else if (named.isEmpty() && more.isEmpty() && moreNamed.isEmpty()) {
                positional.add(expressions.expression());
            } else {
                throw in.fault("an argument without a name after one with a name");
            }
            if (!in.at(Op.RIGHT_PAREN)) {
                in.expect(Op.COMMA);
            }
        }
        in.next();
        return new Expr.Arguments(positional, named, more, moreNamed);
    }

    Expr filtersAndTests(Expr node) {
        Expr made = node;
        while (true) {
            if (in.at(Op.PIPE)) {
                in.next();
                made = filter(made);
            } else if (in.atName("is")) {
                made = test(made);
            } else if (in.at(Op.LEFT_PAREN)) {
                made = call(made);
            } else {
                return made;
            }
        }
    }

    /// One filter after its `|`, on `input`.
    Expr filter(Expr input) {
        int line = in.line();
        String name = in.expectName();
        Expr.Arguments arguments = in.at(Op.LEFT_PAREN) ? arguments() : Expr.Arguments.NONE;
        names.checkFilter(name, arguments, line);
        return new Expr.Filter(input, name, arguments, line);
    }

    private Expr test(Expr input) {
        int line = in.next().line();
        boolean negated = in.skipName("not");
        String name = in.expectName();
        Expr.Arguments arguments = Expr.Arguments.NONE;
        if (in.at(Op.LEFT_PAREN)) {
            arguments = arguments();
        } else if (argumentFollows()) {
            if (in.atName("is")) {
                throw in.fault("tests cannot be chained with 'is'");
            }
            arguments = new Expr.Arguments(List.of(postfix(primary())), List.of(), Optional.empty(), Optional.empty());
        }
        names.checkTest(name, line);
        Expr made = new Expr.Test(input, name, arguments, line);
        return negated ? new Expr.Not(made, line) : made;
    }

    private boolean argumentFollows() {
        return switch (in.current().type()) {
            case STRING, INTEGER, REAL -> true;
            case NAME -> !in.atName("else") && !in.atName("or") && !in.atName("and");
            default -> in.at(Op.LEFT_BRACKET) || in.at(Op.LEFT_BRACE);
        };
    }
}
