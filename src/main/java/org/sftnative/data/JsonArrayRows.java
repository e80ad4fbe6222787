package org.sftnative.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.exc.UnexpectedEndOfInputException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.node.ObjectNode;

/// A JSON array of objects, one at a time. After broken JSON there is no telling where the next row begins.
final class JsonArrayRows implements RowReader {
    private static final ObjectReader ROW = Json.ROWS.reader().without(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private final Path file;
    private final JsonParser parser;
    private final BufferedReader text;
    private int number;

    JsonArrayRows(Path file, InputStream bytes) {
        this.file = file;
        // a new decoder is strict
        text = new BufferedReader(new InputStreamReader(bytes, StandardCharsets.UTF_8.newDecoder()), 1 << 16);
        parser = Json.ROWS.createParser(text);
    }

    @Override
    public Optional<Read> read() throws IOException {
        try {
            return next();
        } catch (CharacterCodingException e) {
            throw new InputException(
                    file + " is not UTF-8 text in line " + malformedLine() + "\n  save it as UTF-8", e);
        }
    }

    private Optional<Read> next() throws IOException {
        try {
            if (number == 0) {
                parser.nextToken(); // the array's own beginning
            }
            JsonToken token = parser.nextToken();
            if (token == JsonToken.END_ARRAY) {
                if (parser.nextToken() != null) {
                    throw new InputException(file + " goes on after the end of its array, in line "
                            + parser.currentTokenLocation().getLineNr() + "\n  " + Rows.EXPECTED);
                }
                return Optional.empty();
            }
            if (token == null) {
                throw cutOff();
            }
            JsonNode value = ROW.readTree(parser);
            number++;
            return Optional.of(
                    value instanceof ObjectNode fields
                            ? new Good(new Row(file, number, fields))
                            : new Bad(number, Rows.notAnObject(file, number, value)));
        } catch (JacksonException e) {
            if (e.getCause() instanceof IOException io) {
                throw io;
            }
            if (e instanceof StreamConstraintsException
                    && e.getOriginalMessage().startsWith("String")) {
                throw Rows.tooLong(file, number + 1, e);
            }
            // the parser has an exception of its own for an end inside a token, but not between two
            if (e instanceof UnexpectedEndOfInputException
                    || e.getOriginalMessage().startsWith("Unexpected end-of-input")) {
                throw cutOff();
            }
            throw Rows.notJson(file, number + 1, parser.currentLocation().getLineNr(), e);
        }
    }

    private InputException cutOff() {
        return new InputException(file + " is cut off: it ends in row " + (number + 1)
                + ", before the array is closed\n  " + Rows.EXPECTED);
    }

    /// The readers decode ahead of the row they are at, so the line is looked for anew.
    private int malformedLine() {
        try (TextLines lines = new TextLines(RowBytes.open(file))) {
            Optional<TextLines.Line> line = lines.next();
            while (line.isPresent() && line.get().utf8()) {
                line = lines.next();
            }
            return line.map(TextLines.Line::number).orElse(0);
        } catch (IOException _) {
            return 0; // the file is gone by now
        }
    }

    @Override
    public void close() throws IOException {
        text.close();
    }
}
