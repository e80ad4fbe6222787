package org.sftnative.data;

import dev.hardwood.InputFile;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.row.PqList;
import dev.hardwood.row.PqMap;
import dev.hardwood.row.StructAccessor;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
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

    /// Those of the format that no library here unpacks, as the reader's messages name them.
    private static final Pattern CODEC = Pattern.compile("\\b(lz4_raw|lz4|brotli|lzo)\\b", Pattern.CASE_INSENSITIVE);

    /// Of a row, a text or an element, at the least.
    private static final int NODE = 64;

    private final Path file;
    private final FileChannel channel;
    private final ParquetFileReader reader;
    private final dev.hardwood.reader.RowReader rows;
    private long left;
    private int number;

    ParquetRows(Path file) throws IOException {
        this.file = file;
        channel = FileChannel.open(file);
        Optional<ParquetFileReader> opened = Optional.empty();
        try {
            Copied copied = new Copied(file, channel);
            opened = Optional.of(ParquetFileReader.open(copied));
            ParquetPages.check(copied, opened.get().getFileMetaData());
            left = ParquetPages.budget(channel.size());
            rows = opened.get().rowReader();
            reader = opened.get();
        } catch (RuntimeException | IOException | OutOfMemoryError | StackOverflowError e) {
            channel.close();
            if (opened.isPresent()) {
                opened.get().close();
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
        } catch (RuntimeException
                | OutOfMemoryError
                | StackOverflowError e) { // the library has no exception of its own for a broken file
            throw broken(e);
        }
    }

    private InputException broken(Throwable e) {
        String said = Stream.<Throwable>iterate(e, cause -> cause != null, Throwable::getCause)
                .map(cause -> cause.toString())
                .collect(Collectors.joining(" "));
        Matcher codec = CODEC.matcher(said);
        if (codec.find()) {
            return new InputException(
                    file + " is compressed with " + codec.group(1).toUpperCase(Locale.ROOT) + ", which is not supported"
                            + "\n  write it with snappy, zstd, gzip or none, as pyarrow's"
                            + " parquet.write_table(table, path, compression='zstd') does",
                    e);
        }
        if (said.contains(OutOfMemoryError.class.getSimpleName())) {
            return new InputException(
                    file + " asks for more memory than Java has, after row " + number
                            + "\n  raise it (SFT_JAVA_OPTS=-Xmx16g), or write the file with smaller pages and rows",
                    e);
        }
        boolean known = e.getMessage() != null && (e instanceof IOException || e instanceof IllegalArgumentException);
        return new InputException(
                file + " is not a Parquet file that can be read, after row " + number + ": "
                        + (known ? Json.shown(e.getMessage()) : "its structure is damaged") + "\n  get it again",
                e);
    }

    /// One value of a dictionary may stand in any number of rows: a file of kilobytes that gives terabytes.
    private void charge(long bytes) {
        left -= bytes;
        if (left < 0) {
            throw new IllegalArgumentException("its rows are far larger than the file");
        }
    }

    /// Without nulls: all structs of a column have the same fields, so that a null says no more than that another
    /// turn of the file has a value there.
    private ObjectNode struct(StructAccessor struct) {
        charge(NODE);
        ObjectNode node = NODES.objectNode();
        for (int i = 0; i < struct.getFieldCount(); i++) {
            String name = struct.getFieldName(i);
            if (!struct.isNull(i)) {
                node.set(name, value(struct.getValue(i)));
            }
        }
        return node;
    }

    private JsonNode value(Object value) {
        return switch (value) {
            case null -> NODES.nullNode();
            case String text -> {
                charge(NODE + text.length());
                yield NODES.stringNode(text);
            }
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
                    charge(NODE);
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
        try (channel;
                reader) {
            rows.close();
        }
    }

    /// The file, copied piece by piece: the library would map it, and a mapped file that shrinks kills the process.
    /// Also, scanning in threads of its own, the library asks without end for the bytes behind a column where a
    /// page claims more than its column has. It gets an error instead.
    private record Copied(Path path, FileChannel channel) implements InputFile {
        @Override
        public ByteBuffer readRange(long offset, int length) throws IOException {
            if (length <= 0 || offset < 0 || offset + length > channel.size()) {
                throw new IOException("it has pages outside of their column");
            }
            ByteBuffer bytes = ByteBuffer.allocateDirect(length);
            while (bytes.hasRemaining()) {
                if (channel.read(bytes, offset + bytes.position()) < 0) {
                    throw new IOException("it shrank while it was read");
                }
            }
            return bytes.flip();
        }

        @Override
        public void open() {
            // it is, already
        }

        @Override
        public long length() throws IOException {
            return channel.size();
        }

        @Override
        public String name() {
            return path.toString();
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
