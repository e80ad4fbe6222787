package org.sftnative.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// JSON Lines: one object a line; empty lines are passed over. A broken line spoils no other.
final class JsonLinesRows implements RowReader {
    private final Path file;
    private final TextLines lines;
    private int number;

    JsonLinesRows(Path file, InputStream bytes) {
        this.file = file;
        lines = new TextLines(bytes);
    }

    @Override
    public Optional<Read> read() throws IOException {
        Optional<TextLines.Line> line = lines.next();
        while (line.isPresent() && line.get().text().isBlank()) {
            line = lines.next();
        }
        return line.map(l -> {
            number++;
            return row(l);
        });
    }

    private Read row(TextLines.Line line) {
        if (!line.utf8()) {
            return new Bad(
                    number,
                    new InputException(file + ", row " + number + ": not UTF-8 text in line " + line.number()
                            + "\n  save it as UTF-8"));
        }
        try {
            JsonNode value = Json.ROWS.readTree(line.text());
            return value instanceof ObjectNode fields
                    ? new Good(new Row(file, number, fields))
                    : new Bad(number, Rows.notAnObject(file, number, value));
        } catch (JacksonException e) {
            return new Bad(number, Rows.notJson(file, number, line.number(), e));
        }
    }

    @Override
    public void close() throws IOException {
        lines.close();
    }
}
