package org.sftnative.template;

import java.util.List;

/// The tokens of a template, one after the other.
final class TokenReader {
    private final List<Token> tokens;
    private int at;

    TokenReader(List<Token> tokens) {
        this.tokens = tokens;
    }

    Token current() {
        return tokens.get(at);
    }

    Token look() {
        return tokens.get(Math.min(at + 1, tokens.size() - 1));
    }

    Token next() {
        Token token = current();
        if (at < tokens.size() - 1) {
            at++;
        }
        return token;
    }

    int line() {
        return current().line();
    }

    boolean at(Token.Type type) {
        return current().type() == type;
    }

    boolean at(Token.Op op) {
        return current().is(op);
    }

    boolean atName(String name) {
        return current().isName(name);
    }

    boolean skip(Token.Op op) {
        if (at(op)) {
            next();
            return true;
        }
        return false;
    }

    boolean skipName(String name) {
        if (atName(name)) {
            next();
            return true;
        }
        return false;
    }

    void expect(Token.Op op) {
        if (!skip(op)) {
            throw fault("expected '" + op.sign() + "', found " + current().shown());
        }
    }

    void expectName(String name) {
        if (!skipName(name)) {
            throw fault("expected '" + name + "', found " + current().shown());
        }
    }

    String expectName() {
        if (!at(Token.Type.NAME)) {
            throw fault("expected a name, found " + current().shown());
        }
        return next().text();
    }

    void expect(Token.Type type) {
        if (!at(type)) {
            throw fault("expected " + new Token(type, "", Token.Op.NONE, 0).shown() + ", found "
                    + current().shown());
        }
        next();
    }

    LineFault fault(String message) {
        return new LineFault(message, line());
    }
}
