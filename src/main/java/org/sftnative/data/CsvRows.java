package org.sftnative.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.sftnative.InputException;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// CSV (RFC 4180): names in the first line, cells divided by commas; a cell in quotes may hold commas, line ends
/// and, doubled, quotes. Every cell is text. Empty lines are passed over. Read line by line and not by a library,
/// so that reading goes on after a broken row and messages name the line.
final class CsvRows implements RowReader {
    /// @param cells empty at the end of the file
    /// @param problem what is wrong with it
    private record Record(List<String> cells, int line, Optional<String> problem) {}

    private final Path file;
    private final TextLines lines;
    private final List<String> names;
    private int number;

    CsvRows(Path file, InputStream bytes) throws IOException {
        this.file = file;
        lines = new TextLines(bytes);
        Record header = record();
        names = header.cells();
        if (names.isEmpty()) {
            throw new InputException(file + " is empty\n  the first line of a CSV file must name its columns");
        }
        header.problem().ifPresent(problem -> {
            throw new InputException(file + ", line " + header.line() + ": " + problem);
        });
        Set<String> seen = new HashSet<>();
        for (String name : names) {
            if (name.isBlank() || !seen.add(name)) {
                throw new InputException(file + ", line " + header.line() + ": "
                        + (name.isBlank() ? "a column has no name" : "two columns are named '" + name + "'")
                        + " (columns: " + String.join(", ", names) + ")");
            }
        }
    }

    @Override
    public Optional<Read> read() throws IOException {
        Record record = record();
        if (record.cells().isEmpty()) {
            return Optional.empty();
        }
        number++;
        Optional<String> problem = record.problem();
        if (problem.isEmpty() && record.cells().size() != names.size()) {
            problem = Optional.of(record.cells().size() + " cells, the first line names " + names.size()
                    + "\n  a cell with a comma in it must be in quotes (columns: " + String.join(", ", names) + ")");
        }
        if (problem.isPresent()) {
            return Optional.of(new Bad(
                    number,
                    new InputException(file + ", row " + number + " (line " + record.line() + "): " + problem.get())));
        }
        ObjectNode fields = JsonNodeFactory.instance.objectNode();
        for (int i = 0; i < names.size(); i++) {
            fields.put(names.get(i), record.cells().get(i));
        }
        return Optional.of(new Good(new Row(file, number, fields)));
    }

    private Record record() throws IOException {
        Optional<TextLines.Line> line = lines.next();
        while (line.isPresent() && line.get().text().isBlank()) {
            line = lines.next();
        }
        if (line.isEmpty()) {
            return new Record(List.of(), 0, Optional.empty());
        }
        int first = line.get().number();
        Cells cells = new Cells();
        while (true) {
            String text = line.get().text();
            if (!line.get().utf8()) {
                cells.wrong("not UTF-8 text in line " + line.get().number() + "\n  save it as UTF-8");
            } else if (text.indexOf('\0') >= 0) {
                cells.wrong("a NUL byte in line " + line.get().number() + ", which is no text");
            }
            cells.add(text);
            if (!cells.open()) {
                return new Record(cells.done, first, cells.problem);
            }
            line = lines.next();
            if (line.isEmpty()) {
                cells.wrong("the file ends inside a quoted cell\n  close its quote");
                cells.end();
                return new Record(cells.done, first, cells.problem);
            }
            cells.cell.append('\n');
            if (cells.cell.length() > TextLines.LONGEST) {
                throw new TextLines.TooLong();
            }
        }
    }

    @Override
    public void close() throws IOException {
        lines.close();
    }

    /// The cells of one record, fed with its lines.
    private static final class Cells {
        private enum State {
            START,
            BARE,
            QUOTED,
            AFTER_QUOTE
        }

        private final List<String> done = new ArrayList<>();
        private final StringBuilder cell = new StringBuilder();
        private State state = State.START;
        private Optional<String> problem = Optional.empty();

        /// Whether a quote is still open, so that the record goes on in the next line.
        boolean open() {
            return state == State.QUOTED;
        }

        void wrong(String what) {
            problem = problem.or(() -> Optional.of(what));
        }

        void add(String line) {
            for (int i = 0; i < line.length(); i++) {
                char c = line.charAt(i);
                boolean lineEnd = c == '\r' && i == line.length() - 1;
                switch (state) {
                    case QUOTED -> {
                        if (c == '"') {
                            state = State.AFTER_QUOTE;
                        } else {
                            cell.append(c);
                        }
                    }
                    case START, BARE, AFTER_QUOTE -> {
                        if (c == ',') {
                            end();
                        } else if (lineEnd) {
                            continue;
                        } else if (c == '"' && state != State.BARE) {
                            if (state == State.AFTER_QUOTE) {
                                cell.append(c);
                            }
                            state = State.QUOTED;
                        } else {
                            if (state == State.AFTER_QUOTE) {
                                wrong("text after the closing quote of a cell\n  a quote in a quoted cell is doubled");
                            }
                            cell.append(c);
                            state = State.BARE;
                        }
                    }
                }
            }
            if (!open()) {
                end();
            }
        }

        void end() {
            done.add(cell.toString());
            cell.setLength(0);
            state = State.START;
        }
    }
}
