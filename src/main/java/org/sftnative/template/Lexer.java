package org.sftnative.template;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` on and one trailing newline of the
/// file gone, as transformers sets Jinja2 up. Newlines of all kinds become `\n`.
final class Lexer {
    // what Python's str.isspace says yes to, for \s
    private static final String SPACE =
            "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
    private static final Pattern RAW =
            Pattern.compile("\\{%[-+]?" + SPACE + "*raw" + SPACE + "*(?:-%}" + SPACE + "*|%})");
    private static final Pattern END_RAW =
            Pattern.compile("\\{%([-+]?)" + SPACE + "*endraw" + SPACE + "*(?:\\+%}|-%}" + SPACE + "*|%}\\n?)");
    private static final Pattern COMMENT_END = Pattern.compile("\\+#}|-#}" + SPACE + "*|#}\\n?");
    private static final Pattern BLOCK_END = Pattern.compile("\\+%}|-%}" + SPACE + "*|%}\\n?");
    private static final Pattern VARIABLE_END = Pattern.compile("-}}" + SPACE + "*|}}");
    private static final Pattern REAL = Pattern.compile(
            "(?<!\\.)(?:\\d+_)*+\\d++(?:(?:\\.(?:\\d+_)*+\\d++)?[eE][+-]?(?:\\d+_)*+\\d++|\\.(?:\\d+_)*+\\d++)");
    private static final Pattern INTEGER = Pattern.compile(
            "0[bB](?:_?[01])++|0[oO](?:_?[0-7])++|0[xX](?:_?[0-9a-fA-F])++|[1-9](?:_?[0-9])*+|0(?:_?0)*+");

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int at;
    private int line = 1;
    private int lineCounted;

    private Lexer(String source) {
        this.source = source;
    }

    static List<Token> tokens(String source) {
        String text = source.replace("\r\n", "\n").replace('\r', '\n');
        if (text.endsWith("\n")) {
            text = text.substring(0, text.length() - 1);
        }
        Lexer lexer = new Lexer(text);
        lexer.root();
        return lexer.tokens;
    }

    private void root() {
        while (at < source.length()) {
            int open = at;
            while ((open = source.indexOf('{', open)) >= 0) {
                char next = open + 1 < source.length() ? source.charAt(open + 1) : ' ';
                if (next == '%' || next == '{' || next == '#') {
                    break;
                }
                open++;
            }
            if (open < 0) {
                data(at, source.length());
                at = source.length();
                break;
            }
            char kind = source.charAt(open + 1);
            char sign = open + 2 < source.length() ? source.charAt(open + 2) : ' ';
            data(at, textEnd(at, open, sign, kind != '{'));
            at = open;
            boolean signed = sign == '-' || sign == '+';
            switch (kind) {
                case '#' -> comment(open, signed);
                case '{' -> tag(Token.Type.VARIABLE_BEGIN, Token.Type.VARIABLE_END, VARIABLE_END, signed);
                default -> {
                    Matcher raw = RAW.matcher(source).region(open, source.length());
                    if (raw.lookingAt()) {
                        raw(raw.end());
                    } else {
                        tag(Token.Type.BLOCK_BEGIN, Token.Type.BLOCK_END, BLOCK_END, signed);
                    }
                }
            }
        }
        add(Token.Type.END, "", Token.Op.NONE, source.length());
    }

    /// Where the text before a tag ends: `-` takes all white space away, `lstrip_blocks` that between the
    /// line's start and a block.
    private int textEnd(int from, int open, char sign, boolean block) {
        int end = open;
        if (sign == '-') {
            while (end > from && Text.isSpace(source.charAt(end - 1))) {
                end--;
            }
        } else if (sign != '+' && block) {
            int start = open;
            while (start > from && source.charAt(start - 1) != '\n' && Text.isSpace(source.charAt(start - 1))) {
                start--;
            }
            if (start == 0 || source.charAt(start - 1) == '\n') {
                end = start;
            }
        }
        return end;
    }

    private void comment(int open, boolean signed) {
        Matcher end =
                COMMENT_END.matcher(source).region(Math.min(open + (signed ? 3 : 2), source.length()), source.length());
        if (!end.find()) {
            throw fault("a comment is not closed", open);
        }
        at = end.end();
    }

    private void raw(int from) {
        Matcher end = END_RAW.matcher(source).region(from, source.length());
        if (!end.find()) {
            throw fault("a raw block has no {% endraw %}", at);
        }
        char sign = end.group(1).isEmpty() ? ' ' : end.group(1).charAt(0);
        data(from, textEnd(from, end.start(), sign, true));
        at = end.end();
    }

    private void tag(Token.Type begin, Token.Type endType, Pattern endPattern, boolean signed) {
        int open = at;
        add(begin, source.substring(open, open + 2), Token.Op.NONE, open);
        at += signed ? 3 : 2;
        Deque<Token.Op> braces = new ArrayDeque<>();
        Matcher end = endPattern.matcher(source);
        Matcher real = REAL.matcher(source).useTransparentBounds(true);
        Matcher integer = INTEGER.matcher(source);
        while (at < source.length()) {
            if (braces.isEmpty() && end.region(at, source.length()).lookingAt()) {
                add(endType, end.group(), Token.Op.NONE, at);
                at = end.end();
                return;
            }
            char c = source.charAt(at);
            if (Text.isSpace(c)) {
                at++;
            } else if (real.region(at, source.length()).lookingAt()) {
                add(Token.Type.REAL, real.group(), Token.Op.NONE, at);
                at = real.end();
            } else if (integer.region(at, source.length()).lookingAt()) {
                add(Token.Type.INTEGER, integer.group(), Token.Op.NONE, at);
                at = integer.end();
            } else if (c == '\'' || c == '"') {
                string(c);
            } else if (isWord(source.codePointAt(at))) {
                name();
            } else {
                operator(braces);
            }
        }
        throw fault("a tag is not closed", open);
    }

    private static boolean isWord(int c) {
        return c == '_' || Character.isLetterOrDigit(c);
    }

    private void name() {
        int from = at;
        while (at < source.length() && isWord(source.codePointAt(at))) {
            at += Character.charCount(source.codePointAt(at));
        }
        if (!Character.isUnicodeIdentifierStart(source.codePointAt(from)) && source.charAt(from) != '_') {
            throw fault("no name can begin with '" + source.charAt(from) + "'", from);
        }
        add(Token.Type.NAME, source.substring(from, at), Token.Op.NONE, from);
    }

    private void operator(Deque<Token.Op> braces) {
        for (Token.Op op : Token.Op.values()) {
            if (op != Token.Op.NONE && source.startsWith(op.sign(), at)) {
                switch (op) {
                    case LEFT_BRACE -> braces.push(Token.Op.RIGHT_BRACE);
                    case LEFT_PAREN -> braces.push(Token.Op.RIGHT_PAREN);
                    case LEFT_BRACKET -> braces.push(Token.Op.RIGHT_BRACKET);
                    case RIGHT_BRACE, RIGHT_PAREN, RIGHT_BRACKET -> {
                        if (braces.isEmpty() || braces.pop() != op) {
                            throw fault("unexpected '" + op.sign() + "'", at);
                        }
                    }
                    default -> {}
                }
                add(Token.Type.OPERATOR, op.sign(), op, at);
                at += op.sign().length();
                return;
            }
        }
        throw fault("unexpected character '" + Character.toString(source.codePointAt(at)) + "'", at);
    }

    private void string(char quote) {
        int from = at;
        int end = from + 1;
        while (end < source.length() && source.charAt(end) != quote) {
            end += source.charAt(end) == '\\' ? 2 : 1;
        }
        if (end >= source.length()) {
            throw fault("a string is not closed", from);
        }
        at = end + 1;
        String text = source.substring(from + 1, end);
        try {
            add(Token.Type.STRING, text.indexOf('\\') < 0 ? text : Escapes.decoded(text), Token.Op.NONE, from);
        } catch (TemplateFault e) {
            throw fault(e.getMessage(), from);
        }
    }

    private void data(int from, int to) {
        if (from < to) {
            add(Token.Type.DATA, source.substring(from, to), Token.Op.NONE, from);
        }
    }

    private void add(Token.Type type, String text, Token.Op op, int where) {
        tokens.add(new Token(type, text, op, lineOf(where)));
    }

    private int lineOf(int where) {
        // tokens come in order; only messages ask for an earlier place
        if (where < lineCounted) {
            return 1
                    + (int) source.substring(0, where)
                            .chars()
                            .filter(c -> c == '\n')
                            .count();
        }
        for (; lineCounted < where; lineCounted++) {
            if (source.charAt(lineCounted) == '\n') {
                line++;
            }
        }
        return line;
    }

    private LineFault fault(String message, int where) {
        return new LineFault(message, lineOf(where));
    }
}
