package org.sftnative.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PushbackInputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.sftnative.InputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.UnexpectedEndOfInputException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.node.ObjectNode;

/// Streams the rows of a JSON array or of JSON Lines, told apart by the first character. A byte-order mark, CRLF
/// and empty lines are fine. Everything wrong is an [InputException] that names the file and the line or row.
public final class Rows implements Iterator<Row>, AutoCloseable {
    private static final String EXPECTED = "rows must be a JSON array of objects, or JSON Lines: one object a line";
    private static final ObjectReader IN_ARRAY =
            Json.STRICT.reader().without(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private final Path file;
    private final BufferedReader text;
    private final Optional<JsonParser> array;
    private int line;
    private int number;
    private Optional<Row> next;

    private Rows(Path file, InputStream bytes) throws IOException {
        this.file = file;
        PushbackInputStream start = new PushbackInputStream(bytes, 3);
        byte[] mark = start.readNBytes(3);
        if (mark.length < 3 || (mark[0] & 255) != 0xEF || (mark[1] & 255) != 0xBB || (mark[2] & 255) != 0xBF) {
            start.unread(mark);
        }
        int first = start.read();
        while (first == ' ' || first == '\t' || first == '\r' || first == '\n') {
            line += first == '\n' ? 1 : 0;
            first = start.read();
        }
        if (first < 0) {
            throw new InputException(file + " is empty\n  " + EXPECTED);
        }
        if (first != '[' && first != '{') {
            throw new InputException(file + " is not JSON: it starts with " + shown(first) + "\n  " + EXPECTED);
        }
        start.unread(first);
        text = new BufferedReader(
                new InputStreamReader(start, StandardCharsets.UTF_8.newDecoder()), 1 << 16); // a new decoder is strict
        array = first == '[' ? Optional.of(Json.STRICT.createParser(text)) : Optional.empty();
        next = advance();
    }

    /// @throws InputException if the file is missing, a directory, empty or not JSON
    public static Rows open(Path file) {
        if (Files.isDirectory(file)) {
            throw new InputException(file + " is a directory, must be a file of rows");
        }
        InputStream bytes = null;
        try {
            bytes = Files.newInputStream(file);
            return new Rows(file, new java.io.BufferedInputStream(bytes, 1 << 16));
        } catch (IOException e) {
            close(bytes);
            throw new InputException("cannot read " + file + ": " + Json.reason(e), e);
        } catch (RuntimeException e) {
            close(bytes);
            throw e;
        }
    }

    @Override
    public boolean hasNext() {
        return next.isPresent();
    }

    /// @throws InputException if the row after this one is broken: it is read ahead
    @Override
    public Row next() {
        Row row = next.orElseThrow(NoSuchElementException::new);
        next = advance();
        return row;
    }

    @Override
    public void close() {
        close(text);
    }

    private Optional<Row> advance() {
        try {
            Optional<JsonNode> value = array.isPresent() ? fromArray(array.get()) : fromLine();
            return value.map(node -> {
                number++;
                if (node instanceof ObjectNode fields) {
                    return new Row(file, number, fields);
                }
                throw new InputException(
                        file + ", row " + number + " is " + Json.kind(node) + ", must be an object\n  " + EXPECTED);
            });
        } catch (CharacterCodingException e) {
            throw new InputException(
                    file + " is not UTF-8 text in line " + malformedLine() + "\n  save it as UTF-8", e);
        } catch (IOException e) {
            throw new InputException("cannot read " + file + ": " + Json.reason(e), e);
        }
    }

    private Optional<JsonNode> fromArray(JsonParser parser) throws IOException {
        try {
            if (number == 0) {
                parser.nextToken(); // the array's own beginning
            }
            JsonToken token = parser.nextToken();
            if (token == JsonToken.END_ARRAY) {
                if (parser.nextToken() != null) {
                    throw new InputException(file + " goes on after the end of its array, in line "
                            + (line + parser.currentTokenLocation().getLineNr()) + "\n  " + EXPECTED);
                }
                return Optional.empty();
            }
            if (token == null) {
                throw cutOff();
            }
            return Optional.of(IN_ARRAY.readTree(parser));
        } catch (JacksonException e) {
            if (e.getCause() instanceof IOException io) {
                throw io;
            }
            // the parser has an exception of its own for an end inside a token, but not between two
            if (e instanceof UnexpectedEndOfInputException
                    || e.getOriginalMessage().startsWith("Unexpected end-of-input")) {
                throw cutOff();
            }
            throw broken(e, line + parser.currentLocation().getLineNr());
        }
    }

    private InputException cutOff() {
        return new InputException(
                file + " is cut off: it ends in row " + (number + 1) + ", before the array is closed\n  " + EXPECTED);
    }

    private Optional<JsonNode> fromLine() throws IOException {
        String content;
        do {
            content = text.readLine();
            line++;
        } while (content != null && content.isBlank());
        if (content == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(Json.STRICT.readTree(content));
        } catch (JacksonException e) {
            throw broken(e, line);
        }
    }

    private InputException broken(JacksonException e, int where) {
        return new InputException(
                file + ", row " + (number + 1) + ": not valid JSON in line " + where + ": " + e.getOriginalMessage()
                        + "\n  " + EXPECTED,
                e);
    }

    /// The readers decode ahead of the row they are at, so the line is looked for anew.
    private int malformedLine() {
        int at = 1;
        try (var reader = new InputStreamReader(Files.newInputStream(file), StandardCharsets.UTF_8.newDecoder())) {
            for (int c = reader.read(); c >= 0; c = reader.read()) {
                at += c == '\n' ? 1 : 0;
            }
        } catch (IOException _) {
            // the malformed byte: that is the line
        }
        return at;
    }

    private static String shown(int first) {
        return first > ' ' && first < 127 ? "'" + (char) first + "'" : "byte 0x%02X".formatted(first);
    }

    private static void close(AutoCloseable stream) {
        try {
            if (stream != null) {
                stream.close();
            }
        } catch (Exception _) {
            // it was only read
        }
    }
}
