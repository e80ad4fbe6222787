package org.sftnative.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.sftnative.template.Token.Op;

/// Reads a template's blocks.
final class StatementParser {
    private static final int MAX_NESTING = 100;
    private static final Set<String> NOT_HERE =
            Set.of("extends", "block", "include", "import", "from", "autoescape", "do", "debug", "trans");

    private final TokenReader in;
    private final Names names = new Names();
    private final ExpressionParser expressions;
    private int depth;
    private int loops;

    private StatementParser(TokenReader in) {
        this.in = in;
        this.expressions = new ExpressionParser(in, names);
    }

    static List<Stmt> parse(String source) {
        StatementParser parser = new StatementParser(new TokenReader(Lexer.tokens(source)));
        List<Stmt> body = parser.body(Set.of());
        parser.names.checkCalls();
        return body;
    }

    /// Statements up to one of the tags that end them, which is not read; without such tags, to the end.
    private List<Stmt> body(Set<String> ends) {
        if (++depth > MAX_NESTING) {
            throw in.fault("blocks are nested deeper than " + MAX_NESTING + " levels");
        }
        List<Stmt> body = new ArrayList<>();
        while (true) {
            Token token = in.current();
            switch (token.type()) {
                case DATA -> body.add(new Stmt.Data(Str.template(in.next().text()), token.line()));
                case VARIABLE_BEGIN -> {
                    in.next();
                    body.add(new Stmt.Print(List.of(expressions.tuple(true)), token.line()));
                    in.expect(Token.Type.VARIABLE_END);
                }
                case BLOCK_BEGIN -> {
                    in.next();
                    if (in.at(Token.Type.NAME) && ends.contains(in.current().text())) {
                        depth--;
                        return body;
                    }
                    body.add(statement(ends));
                    in.expect(Token.Type.BLOCK_END);
                }
                default -> {
                    if (!ends.isEmpty()) {
                        throw in.fault("the template ends where " + tags(ends) + " is missing");
                    }
                    depth--;
                    return body;
                }
            }
        }
    }

    private static String tags(Set<String> ends) {
        return ends.stream()
                .sorted()
                .map(e -> "{% " + e + " %}")
                .reduce((a, b) -> a + " or " + b)
                .orElse("");
    }

    /// The statements of a block whose tag has been read but for its end; the ending tag's name is read.
    private List<Stmt> block(String... ends) {
        in.skip(Op.COLON);
        in.expect(Token.Type.BLOCK_END);
        return body(Set.of(ends));
    }

    private List<Stmt> wholeBlock(String end) {
        List<Stmt> body = block(end);
        in.next();
        return body;
    }

    private Stmt statement(Set<String> ends) {
        int line = in.line();
        if (!in.at(Token.Type.NAME)) {
            throw in.fault("a tag begins with a name, found " + in.current().shown());
        }
        String tag = in.next().text();
        return switch (tag) {
            case "if" -> conditional(line);
            case "for" -> loop(line);
            case "set" -> set(line);
            case "print" -> print(line);
            case "macro" -> macro(line);
            case "call" -> callBlock(line);
            case "filter" -> filterBlock(line);
            case "with" -> with(line);
            case "generation" -> generation(line);
            case "break", "continue" -> {
                if (loops == 0) {
                    throw new LineFault("{% " + tag + " %} outside of a loop", line);
                }
                yield tag.equals("break") ? new Stmt.Break(line) : new Stmt.Continue(line);
            }
            default -> throw unknown(tag, ends, line);
        };
    }

    private Stmt print(int line) {
        List<Expr> values = new ArrayList<>();
        while (!in.at(Token.Type.BLOCK_END)) {
            if (!values.isEmpty()) {
                in.expect(Op.COMMA);
            }
            values.add(expressions.expression());
        }
        return new Stmt.Print(values, line);
    }

    private static LineFault unknown(String tag, Set<String> ends, int line) {
        if (NOT_HERE.contains(tag)) {
            return new LineFault("the tag {% " + tag + " %} is not supported in chat templates", line);
        }
        return new LineFault(
                "unknown tag {% " + Shown.of(tag) + " %}" + (ends.isEmpty() ? "" : "; " + tags(ends) + " is open"),
                line);
    }

    private Stmt conditional(int line) {
        List<Stmt.Branch> branches = new ArrayList<>();
        List<Stmt> otherwise = List.of();
        boolean more = true;
        while (more) {
            Expr test = expressions.tuple(false);
            branches.add(new Stmt.Branch(test, block("elif", "else", "endif")));
            String end = in.next().text();
            more = end.equals("elif");
            if (end.equals("else")) {
                otherwise = wholeBlock("endif");
            }
        }
        return new Stmt.If(branches, otherwise, line);
    }

    private Stmt loop(int line) {
        Stmt.Target target = target(false, true);
        in.expectName("in");
        Expr of = expressions.tuple(false);
        Optional<Expr> test = in.skipName("if") ? Optional.of(expressions.expression()) : Optional.empty();
        boolean recursive = in.skipName("recursive");
        loops++;
        List<Stmt> body = block("endfor", "else");
        loops--;
        List<Stmt> otherwise = in.next().text().equals("else") ? wholeBlock("endfor") : List.of();
        return new Stmt.For(target, of, test, recursive, body, otherwise, line);
    }

    private Stmt set(int line) {
        Stmt.Target target = target(true, false);
        if (in.skip(Op.ASSIGN)) {
            return new Stmt.Set(target, expressions.tuple(true), line);
        }
        Expr value = filters(new Expr.Captured(line));
        return new Stmt.SetBlock(target, value, wholeBlock("endset"), line);
    }

    private Expr filters(Expr input) {
        Expr made = input;
        while (in.skip(Op.PIPE)) {
            made = expressions.filter(made);
        }
        return made;
    }

    private Stmt filterBlock(int line) {
        Expr value = filters(expressions.filter(new Expr.Captured(line)));
        return new Stmt.FilterBlock(value, wholeBlock("endfilter"), line);
    }

    private Stmt with(int line) {
        List<Stmt.Target> targets = new ArrayList<>();
        List<Expr> values = new ArrayList<>();
        while (!in.at(Token.Type.BLOCK_END)) {
            if (!targets.isEmpty()) {
                in.expect(Op.COMMA);
            }
            targets.add(target(false, false));
            in.expect(Op.ASSIGN);
            values.add(expressions.expression());
        }
        return new Stmt.With(targets, values, wholeBlock("endwith"), line);
    }

    private Stmt generation(int line) {
        int outer = loops;
        // Jinja compiles the block to a function, so that a loop around it cannot be left from inside
        loops = 0;
        List<Stmt> body = wholeBlock("endgeneration");
        loops = outer;
        return new Stmt.Generation(body, line);
    }

    private Stmt macro(int line) {
        String name = in.expectName();
        names.bind(name);
        return definition(name, signature(), "endmacro", line);
    }

    private Stmt callBlock(int line) {
        List<Stmt.Parameter> parameters = in.at(Op.LEFT_PAREN) ? signature() : List.of();
        if (!(expressions.expression() instanceof Expr.Call call)) {
            throw new LineFault("{% call %} needs the call of a macro", line);
        }
        return new Stmt.CallBlock(definition("caller", parameters, "endcall", line), call, line);
    }

    private Stmt.MacroDef definition(String name, List<Stmt.Parameter> parameters, String end, int line) {
        int outer = loops;
        loops = 0;
        names.startReading();
        List<Stmt> body = wholeBlock(end);
        Set<String> read = names.stopReading();
        loops = outer;
        return new Stmt.MacroDef(
                name,
                parameters,
                body,
                read.contains("caller"),
                read.contains("varargs"),
                read.contains("kwargs"),
                line);
    }

    private List<Stmt.Parameter> signature() {
        in.expect(Op.LEFT_PAREN);
        List<Stmt.Parameter> parameters = new ArrayList<>();
        while (!in.at(Op.RIGHT_PAREN)) {
            if (!parameters.isEmpty()) {
                in.expect(Op.COMMA);
            }
            String name = in.expectName();
            if (parameters.stream().anyMatch(p -> p.name().equals(name))) {
                throw in.fault("parameter '" + name + "' is there twice");
            }
            names.bind(name);
            Optional<Expr> fallback = in.skip(Op.ASSIGN) ? Optional.of(expressions.expression()) : Optional.empty();
            if (fallback.isEmpty()
                    && !parameters.isEmpty()
                    && parameters.getLast().fallback().isPresent()) {
                throw in.fault("a parameter without a default after one with a default");
            }
            parameters.add(new Stmt.Parameter(name, fallback));
        }
        in.next();
        return parameters;
    }

    private Stmt.Target target(boolean members, boolean loop) {
        List<Stmt.Target> targets = new ArrayList<>();
        boolean tuple = false;
        do {
            boolean ends = loop && in.atName("in") || !in.at(Token.Type.NAME) && !in.at(Op.LEFT_PAREN);
            if (!targets.isEmpty() && ends) {
                break;
            }
            targets.add(single(members, loop));
            tuple |= in.at(Op.COMMA);
        } while (in.skip(Op.COMMA));
        return tuple ? new Stmt.Target.Unpack(targets) : targets.getFirst();
    }

    private Stmt.Target single(boolean members, boolean loop) {
        if (in.skip(Op.LEFT_PAREN)) {
            Stmt.Target inner = target(false, loop);
            in.expect(Op.RIGHT_PAREN);
            return inner;
        }
        String name = in.expectName();
        if (Set.of("true", "false", "none", "True", "False", "None").contains(name) || loop && name.equals("loop")) {
            throw in.fault("cannot assign to '" + name + "'");
        }
        if (members && in.skip(Op.DOT)) {
            String member = in.expectName();
            names.bindMember(member);
            return new Stmt.Target.Member(name, member);
        }
        names.bind(name);
        return new Stmt.Target.Name(name);
    }
}
