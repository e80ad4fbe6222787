package org.sftnative.data;

import dev.hardwood.InputFile;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.row.PqList;
import dev.hardwood.row.PqMap;
import dev.hardwood.row.StructAccessor;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Parquet, a row group at a time: text, numbers, lists, structs and maps, however deep.
final class ParquetRows implements RowReader {
    /// Held, since loggers that nobody holds forget their level.
    private static final Logger LOG = Logger.getLogger("dev.hardwood");

    static {
        LOG.setLevel(Level.WARNING); // else each start says which instructions it could use
    }

    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final Path file;
    private final ParquetFileReader reader;
    private final dev.hardwood.reader.RowReader rows;
    private int number;

    ParquetRows(Path file) throws IOException {
        this.file = file;
        ParquetFileReader opened = null;
        try {
            opened = ParquetFileReader.open(new Guarded(InputFile.of(file)));
            rows = opened.rowReader();
            reader = opened;
        } catch (RuntimeException | IOException e) {
            if (opened != null) {
                opened.close();
            }
            throw broken(e);
        }
    }

    @Override
    public Optional<Read> read() {
        try {
            if (!rows.hasNext()) {
                return Optional.empty();
            }
            rows.next();
            number++;
            return Optional.of(new Good(new Row(file, number, struct(rows))));
        } catch (RuntimeException e) { // the library has no exception of its own for a broken file
            throw broken(e);
        }
    }

    private InputException broken(Exception e) {
        return new InputException(
                file + " is not a Parquet file that can be read, after row " + number + ": "
                        + (e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage()),
                e);
    }

    /// Without nulls: all structs of a column have the same fields, so that a null says no more than that another
    /// turn of the file has a value there.
    private static ObjectNode struct(StructAccessor struct) {
        ObjectNode node = NODES.objectNode();
        for (int i = 0; i < struct.getFieldCount(); i++) {
            String name = struct.getFieldName(i);
            if (!struct.isNull(i)) {
                node.set(name, value(struct.getValue(i)));
            }
        }
        return node;
    }

    private static JsonNode value(Object value) {
        return switch (value) {
            case null -> NODES.nullNode();
            case String text -> NODES.stringNode(text);
            case Integer n -> NODES.numberNode(n);
            case Long n -> NODES.numberNode(n);
            case Float n -> NODES.numberNode(n);
            case Double n -> NODES.numberNode(n);
            case BigDecimal n -> NODES.numberNode(n);
            case Boolean b -> NODES.booleanNode(b);
            case StructAccessor struct -> struct(struct);
            case PqList list -> {
                ArrayNode node = NODES.arrayNode();
                for (int i = 0; i < list.size(); i++) {
                    node.add(value(list.get(i)));
                }
                yield node;
            }
            case PqMap map -> {
                ObjectNode node = NODES.objectNode();
                for (PqMap.Entry entry : map.getEntries()) {
                    node.set(String.valueOf(entry.getKey()), value(entry.getValue()));
                }
                yield node;
            }
            // bytes, dates and the like: in a column that no format uses they do no harm
            default -> NODES.pojoNode(value);
        };
    }

    @Override
    public void close() throws IOException {
        rows.close();
        reader.close();
    }

    /// The library, which scans a file in threads of its own, asks without end for the bytes behind a column where
    /// a page claims more than its column has. It gets an error instead.
    private record Guarded(InputFile file) implements InputFile {
        @Override
        public ByteBuffer readRange(long offset, int length) throws IOException {
            if (length <= 0 || offset < 0 || offset + length > file.length()) {
                throw new IOException("it has pages outside of their column");
            }
            return file.readRange(offset, length);
        }

        @Override
        public void open() throws IOException {
            file.open();
        }

        @Override
        public long length() throws IOException {
            return file.length();
        }

        @Override
        public String name() {
            return file.name();
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
