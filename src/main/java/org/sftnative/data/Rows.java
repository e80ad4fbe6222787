package org.sftnative.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.io.JsonFiles;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/// Streams the rows of a JSON array, of JSON Lines, of CSV (a name that ends in `.csv`), all three also gzipped, or
/// of Parquet. What a file is, but for CSV, its first bytes say. A byte-order mark, CRLF and empty lines are fine.
/// Everything wrong is an [InputException] that names the file and the line or row.
public final class Rows implements Iterator<Row>, AutoCloseable {
    static final String EXPECTED =
            "rows must be a JSON array of objects, JSON Lines (one object a line), CSV (in NAME.csv) or Parquet";
    private static final byte[] PARQUET = "PAR1".getBytes(StandardCharsets.US_ASCII);

    private final Path file;
    private final RowReader reader;
    private int number;
    private boolean ended;
    private Optional<RowReader.Read> next = Optional.empty();

    private Rows(Path file, RowReader reader) {
        this.file = file;
        this.reader = reader;
    }

    /// @throws InputException if the file is missing, a directory, empty or of no kind that holds rows
    public static Rows open(Path file) {
        if (Files.isDirectory(file)) {
            throw new InputException(file + " is a directory, must be a file of rows");
        }
        try {
            return new Rows(file, reader(file));
        } catch (TextLines.TooLong e) {
            throw tooLong(file, 1, e);
        } catch (IOException e) {
            throw new InputException("cannot read " + file + ": " + Json.reason(e), e);
        } catch (OutOfMemoryError e) {
            throw tooLarge(file, 1, e);
        }
    }

    private static RowReader reader(Path file) throws IOException {
        InputStream bytes = RowBytes.open(file);
        try {
            if (RowBytes.startsWith(bytes, PARQUET)) {
                bytes.close();
                return new ParquetRows(file);
            }
            String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
            if (name.endsWith(".csv") || name.endsWith(".csv.gz")) {
                return new CsvRows(file, bytes);
            }
            int first = firstLetter(file);
            if (first < 0) {
                throw new InputException(file + " is empty\n  " + EXPECTED);
            }
            return switch (first) {
                case '[' -> new JsonArrayRows(file, bytes);
                case '{' -> new JsonLinesRows(file, bytes);
                default ->
                    throw new InputException(file + " is not JSON: it starts with " + shown(first) + "\n  " + EXPECTED);
            };
        } catch (IOException | RuntimeException e) {
            bytes.close();
            throw e;
        }
    }

    /// The first byte that is not white; -1 if there is none.
    private static int firstLetter(Path file) throws IOException {
        try (InputStream bytes = RowBytes.open(file)) {
            int first = bytes.read();
            while (first == ' ' || first == '\t' || first == '\r' || first == '\n') {
                first = bytes.read();
            }
            return first;
        }
    }

    /// The next row or why it is broken; empty at the end.
    ///
    /// @throws InputException if the file is broken so that reading cannot go on
    Optional<RowReader.Read> read() {
        if (ended) {
            return Optional.empty();
        }
        try {
            Optional<RowReader.Read> read = next.isPresent() ? next : reader.read();
            next = Optional.empty();
            ended = read.isEmpty();
            number += read.isPresent() ? 1 : 0;
            return read;
        } catch (TextLines.TooLong e) {
            throw tooLong(file, number + 1, e);
        } catch (IOException e) {
            throw new InputException("cannot read " + file + ": " + Json.reason(e), e);
        } catch (OutOfMemoryError e) {
            throw tooLarge(file, number + 1, e);
        }
    }

    /// @throws InputException if the file is broken so that reading cannot go on
    @Override
    public boolean hasNext() {
        if (next.isEmpty()) {
            next = read();
            number -= next.isPresent() ? 1 : 0;
        }
        return next.isPresent();
    }

    /// @throws InputException if the row is broken
    @Override
    public Row next() {
        return switch (read().orElseThrow(NoSuchElementException::new)) {
            case RowReader.Good good -> good.row();
            case RowReader.Bad bad -> throw bad.reason();
        };
    }

    @Override
    public void close() {
        try {
            reader.close();
        } catch (IOException _) {
            // it was only read
        }
    }

    static InputException notAnObject(Path file, int number, JsonNode value) {
        return new InputException(
                file + ", row " + number + " is " + Json.kind(value) + ", must be an object\n  " + EXPECTED);
    }

    static InputException notJson(Path file, int number, int line, JacksonException e) {
        return new InputException(
                file + ", row " + number + ": not valid JSON in line " + line + ": " + JsonFiles.problem(e) + "\n  "
                        + EXPECTED,
                e);
    }

    /// A row that no reader takes, see [TextLines#LONGEST].
    static InputException tooLong(Path file, int number, Exception e) {
        return new InputException(
                file + ", row " + number + " has more than " + TextLines.LONGEST
                        + " bytes, which no row may have\n  divide it into several rows",
                e);
    }

    private static InputException tooLarge(Path file, int number, OutOfMemoryError e) {
        return new InputException(
                file + ", row " + number + " does not fit Java's memory, "
                        + (Runtime.getRuntime().maxMemory() >> 20) + " MiB"
                        + "\n  give it more (-Xmx, by JDK_JAVA_OPTIONS or SFT_JAVA_OPTS), or cut the row",
                e);
    }

    private static String shown(int first) {
        return first > ' ' && first < 127 ? "'" + (char) first + "'" : "byte 0x%02X".formatted(first);
    }
}
