package org.sftnative.io;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;

/// A strict reader of JSON in UTF-8, over bytes, for headers of files that nobody vouches for. It refuses what
/// lenient readers let pass: names given twice (also by escape), lone surrogates, raw control characters, malformed
/// UTF-8, comments, trailing commas, nesting beyond 32. It builds nothing: the caller asks for what it expects.
final class JsonCursor {
    /// The JSON is not what was asked for. The owner adds file and place.
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1L;

        Refused(String what) {
            super(what);
        }
    }

    /// Reads the value of one member.
    interface Member {
        void read(String name) throws Refused;
    }

    /// Reads one element.
    interface Element {
        void read() throws Refused;
    }

    private static final int DEEPEST = 32;

    private final byte[] json;
    private int at;
    private int depth;

    JsonCursor(byte[] json) {
        this.json = json;
    }

    /// Byte offset of the next thing to be read.
    int offset() {
        return at;
    }

    /// Reads an object, handing each member's name to `member`, which must read the value. `kind` names the members
    /// in the message about one that is given twice.
    void object(String kind, Member member) throws Refused {
        open('{', "an object");
        Set<String> seen = new HashSet<>();
        if (peek() != '}') {
            do {
                skipWhitespace();
                if (peek() != '"') {
                    throw unexpected("a name in double quotes");
                }
                String name = string();
                if (!seen.add(name)) {
                    throw new Refused(kind + " '" + Shown.text(name) + "' is given twice");
                }
                expect(':');
                skipWhitespace();
                member.read(name);
            } while (more());
        }
        close('}');
    }

    /// Reads an array; `element` must read each element.
    void array(Element element) throws Refused {
        open('[', "an array");
        if (peek() != ']') {
            do {
                skipWhitespace();
                element.read();
            } while (more());
        }
        close(']');
    }

    /// Reads a non-negative integer below 2^63: digits only, without sign, leading zero, fraction or exponent.
    long unsigned(String what) throws Refused {
        skipWhitespace();
        int start = at;
        long value = 0;
        while (at < json.length && json[at] >= '0' && json[at] <= '9') {
            int digit = json[at] - '0';
            if (value > (Long.MAX_VALUE - digit) / 10) {
                throw new Refused(what + " is beyond 2^63");
            }
            value = value * 10 + digit;
            at++;
        }
        boolean leadingZero = at - start > 1 && json[start] == '0';
        int next = at < json.length ? json[at] : -1;
        if (at == start || leadingZero || next == '.' || next == 'e' || next == 'E') {
            at = start;
            throw new Refused(what + " is not a plain non-negative integer" + found());
        }
        return value;
    }

    /// Reads a string.
    String string() throws Refused {
        skipWhitespace();
        if (peek() != '"') {
            throw unexpected("a string");
        }
        int start = ++at;
        StringBuilder text = new StringBuilder();
        while (true) {
            if (at >= json.length) {
                throw new Refused("a string has no end");
            }
            int c = json[at] & 0xff;
            if (c < 0x20) {
                throw new Refused("a string holds the raw control character 0x" + String.format("%02x", c));
            }
            if (c != '"' && c != '\\') {
                at++;
                continue;
            }
            text.append(utf8(start, at));
            at++;
            if (c == '"') {
                return text.toString();
            }
            text.appendCodePoint(escape());
            start = at;
        }
    }

    /// Reads any value, checking it and keeping nothing.
    void skipValue() throws Refused {
        skipWhitespace();
        switch (peek()) {
            case '{' -> object("name", name -> skipValue());
            case '[' -> array(this::skipValue);
            case '"' -> string();
            case 't' -> literal("true");
            case 'f' -> literal("false");
            case 'n' -> literal("null");
            default -> number();
        }
    }

    /// Nothing but whitespace may follow.
    void end() throws Refused {
        skipWhitespace();
        if (at < json.length) {
            throw new Refused("something follows the end of the JSON document" + found());
        }
    }

    private void number() throws Refused {
        int start = at;
        if (peek() == '-') {
            at++;
        }
        int first = at;
        digits(start);
        if (json[first] == '0' && at - first > 1) {
            throw new Refused("a number starts with 0");
        }
        if (peek() == '.') {
            at++;
            digits(start);
        }
        if (peek() == 'e' || peek() == 'E') {
            at++;
            if (peek() == '+' || peek() == '-') {
                at++;
            }
            digits(start);
        }
    }

    private void digits(int start) throws Refused {
        int first = at;
        while (peek() >= '0' && peek() <= '9') {
            at++;
        }
        if (at == first) {
            at = start;
            throw unexpected("a JSON value");
        }
    }

    private void literal(String word) throws Refused {
        for (int i = 0; i < word.length(); i++) {
            if (at + i >= json.length || json[at + i] != word.charAt(i)) {
                throw unexpected("a JSON value");
            }
        }
        at += word.length();
    }

    /// The character that an escape stands for, the backslash being read; a pair of surrogates is one character.
    private int escape() throws Refused {
        int c = peek();
        at++;
        return switch (c) {
            case '"', '\\', '/' -> c;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> {
                char unit = hex4();
                if (!Character.isSurrogate(unit)) {
                    yield unit;
                }
                if (Character.isHighSurrogate(unit)
                        && at + 1 < json.length
                        && json[at] == '\\'
                        && json[at + 1] == 'u') {
                    at += 2;
                    char low = hex4();
                    if (Character.isLowSurrogate(low)) {
                        yield Character.toCodePoint(unit, low);
                    }
                }
                throw new Refused("a string holds a lone surrogate, \\u" + String.format("%04x", (int) unit));
            }
            default -> throw new Refused("a string holds an escape that JSON does not have");
        };
    }

    private char hex4() throws Refused {
        int value = 0;
        for (int i = 0; i < 4; i++) {
            int digit = at < json.length && json[at] > 0 ? Character.digit((char) json[at], 16) : -1;
            if (digit < 0) {
                throw new Refused("a \\u escape has not four hexadecimal digits");
            }
            value = value << 4 | digit;
            at++;
        }
        return (char) value;
    }

    private String utf8(int from, int to) throws Refused {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(json, from, to - from))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new Refused("a string is not UTF-8");
        }
    }

    private void open(char bracket, String what) throws Refused {
        skipWhitespace();
        if (peek() != bracket) {
            throw unexpected(what);
        }
        if (++depth > DEEPEST) {
            throw new Refused("nested deeper than " + DEEPEST);
        }
        at++;
        skipWhitespace();
    }

    private void close(char bracket) throws Refused {
        if (peek() != bracket) {
            throw unexpected("',' or '" + bracket + "'");
        }
        at++;
        depth--;
    }

    private boolean more() {
        skipWhitespace();
        if (peek() != ',') {
            return false;
        }
        at++;
        return true;
    }

    private void expect(char c) throws Refused {
        skipWhitespace();
        if (peek() != c) {
            throw unexpected("'" + c + "'");
        }
        at++;
    }

    private void skipWhitespace() {
        while (at < json.length && (json[at] == ' ' || json[at] == '\n' || json[at] == '\r' || json[at] == '\t')) {
            at++;
        }
    }

    /// The next byte, -1 at the end.
    private int peek() {
        return at < json.length ? json[at] & 0xff : -1;
    }

    private Refused unexpected(String wanted) {
        return new Refused(wanted + " was expected" + found());
    }

    private String found() {
        int c = peek();
        if (c < 0) {
            return ", found the end";
        }
        return c > 0x20 && c < 0x7f ? ", found '" + (char) c + "'" : ", found byte 0x" + String.format("%02x", c);
    }
}
