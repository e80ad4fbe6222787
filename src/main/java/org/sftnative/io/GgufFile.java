package org.sftnative.io;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.zip.CRC32C;
import org.sftnative.InputException;

/// A GGUF file, read strictly: version 3, little-endian, tensors one after another up to its end.
/// Opening reads the header alone; nothing is allocated on the word of a count that the file could
/// not hold.
public final class GgufFile implements AutoCloseable {
    private static final int BUFFER = 1 << 20;
    private static final int MOST_DIMENSIONS = 4;

    private final Path path;
    private final FileChannel channel;
    private final SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    private final SequencedMap<String, GgufTensor.Info> tensors = new LinkedHashMap<>();
    private final SequencedMap<String, Long> starts = new LinkedHashMap<>(); // in the file
    private final long size;
    private final ByteBuffer buffer =
            ByteBuffer.allocate(BUFFER).order(ByteOrder.LITTLE_ENDIAN).limit(0);
    private long filled; // bytes of the file that the buffer has had
    private long dataStart;

    private GgufFile(Path path, FileChannel channel) throws IOException {
        this.path = path;
        this.channel = channel;
        size = channel.size();
    }

    /// Opens a file and checks its header.
    ///
    /// @throws InputException naming the file and what is wrong in it
    public static GgufFile open(Path path) {
        if (!Files.isRegularFile(path)) {
            throw new InputException(path + (Files.exists(path) ? " is not a file" : " does not exist"));
        }
        FileChannel channel = null;
        try {
            channel = FileChannel.open(path, StandardOpenOption.READ);
            GgufFile file = new GgufFile(path, channel);
            file.readHeader();
            return file;
        } catch (EOFException e) {
            closeQuietly(channel, e);
            throw new InputException(path + ": its header ends early\n  the file is cut short: make it again", e);
        } catch (IOException e) {
            closeQuietly(channel, e);
            throw new InputException(path + ": cannot be read: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            closeQuietly(channel, e);
            throw e;
        }
    }

    private static void closeQuietly(FileChannel channel, Exception cause) {
        try {
            if (channel != null) {
                channel.close();
            }
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    /// The file, as it was given.
    public Path path() {
        return path;
    }

    /// All keys and values, in the order of the file.
    public SequencedMap<String, GgufValue> metadata() {
        return Collections.unmodifiableSequencedMap(metadata);
    }

    /// All tensors by name, in the order of the file.
    public SequencedMap<String, GgufTensor.Info> tensors() {
        return Collections.unmodifiableSequencedMap(tensors);
    }

    /// A tensor's bytes, little-endian; of one with less than 2 GiB.
    ///
    /// @throws InputException if there is none of that name, or the file shrank
    public ByteBuffer bytes(String name) {
        GgufTensor.Info info = Optional.ofNullable(tensors.get(name))
                .orElseThrow(() -> new InputException(path + ": there is no tensor '" + Shown.text(name) + "'"));
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(info.byteSize())).order(ByteOrder.LITTLE_ENDIAN);
        try {
            for (long at = starts.get(name); bytes.hasRemaining(); ) {
                int read = channel.read(bytes, at);
                if (read < 0) {
                    throw new EOFException("it shrank");
                }
                at += read;
            }
            return bytes.flip();
        } catch (IOException e) {
            throw new InputException(path + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /// CRC-32C of the part that holds the tensors, as the disk has it.
    public long checksum() {
        CRC32C checksum = new CRC32C();
        ByteBuffer part = ByteBuffer.allocateDirect(BUFFER);
        try {
            for (long at = dataStart; at < size; ) {
                int read = channel.read(part.clear(), at);
                if (read < 0) {
                    throw new EOFException("it shrank");
                }
                checksum.update(part.flip());
                at += read;
            }
            return checksum.getValue();
        } catch (IOException e) {
            throw new InputException(path + ": cannot be read: " + e.getMessage(), e);
        }
    }

    private void readHeader() throws IOException {
        if (size < 4 || whole(4) != (GgufWriter.MAGIC & 0xffffffffL)) {
            throw wrong("does not start with GGUF: it is no GGUF file");
        }
        long version = whole(4);
        if (version != GgufWriter.VERSION) {
            throw wrong("has version " + version + ", supported is " + GgufWriter.VERSION);
        }
        long tensorCount = count("tensors", 8 + 4 + 8 + 4 + 8);
        long valueCount = count("values", 8 + 4 + 1);
        for (long i = 0; i < valueCount; i++) {
            String key = text();
            GgufValue value = value(kind(), key);
            if (metadata.put(key, value) != null) {
                throw wrong("has the key '" + Shown.text(key) + "' twice");
            }
        }
        GgufValue alignment = metadata.getOrDefault("general.alignment", GgufValue.of(GgufWriter.ALIGNMENT));
        if (!alignment.equals(GgufValue.of(GgufWriter.ALIGNMENT))) {
            throw wrong("has another alignment than " + GgufWriter.ALIGNMENT);
        }
        long end = 0;
        for (long i = 0; i < tensorCount; i++) {
            end = tensor(end);
        }
        dataStart = GgufWriter.padded(position());
        starts.replaceAll((_, offset) -> dataStart + offset);
        if (dataStart + end != size) {
            throw wrong("has " + size + " bytes, its tensors end at " + (dataStart + end)
                    + (dataStart + end > size ? "\n  the file is cut short: make it again" : ""));
        }
    }

    /// @param end of the tensor before
    /// @return this one's end, counted from where tensors start
    private long tensor(long end) throws IOException {
        String name = text();
        String where = "tensor '" + Shown.text(name) + "' ";
        long dimensions = whole(4);
        if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
            throw wrong(where + "has " + dimensions + " dimensions");
        }
        List<Long> shape = new ArrayList<>();
        long values = 1;
        try {
            for (long i = 0; i < dimensions; i++) {
                long dimension = whole(8);
                if (dimension < 1) {
                    throw wrong(where + "has the dimension " + Long.toUnsignedString(dimension));
                }
                values = Math.multiplyExact(values, dimension);
                shape.addFirst(dimension);
            }
            int code = (int) whole(4);
            GgufType type = GgufType.of(code)
                    .orElseThrow(() -> wrong(where + "has type " + code + ", supported are F32, F16, BF16, Q8_0"));
            if (shape.getLast() % type.block() != 0) {
                throw wrong(where + "has rows of " + shape.getLast() + " in blocks of " + type.block());
            }
            long offset = whole(8);
            if (offset != end) {
                throw wrong(where + "starts at " + Long.toUnsignedString(offset) + ", the one before ends at " + end);
            }
            GgufTensor.Info info = new GgufTensor.Info(type, shape);
            if (tensors.put(name, info) != null) {
                throw wrong("has the tensor '" + Shown.text(name) + "' twice");
            }
            starts.put(name, offset);
            return Math.addExact(end, GgufWriter.padded(type.bytes(values)));
        } catch (ArithmeticException e) {
            throw wrong(where + "has more elements than any file holds");
        }
    }

    private GgufValue value(GgufValue.Kind kind, String key) throws IOException {
        return switch (kind) {
            case STRING -> new GgufValue.Text(text());
            case F32 -> new GgufValue.Real(kind, Float.intBitsToFloat((int) whole(4)));
            case F64 -> new GgufValue.Real(kind, Double.longBitsToDouble(whole(8)));
            case BOOL -> {
                long flag = whole(1);
                if (flag > 1) {
                    throw wrong("has the truth value " + flag + " in '" + Shown.text(key) + "'");
                }
                yield new GgufValue.Flag(flag == 1);
            }
            case ARRAY -> {
                GgufValue.Kind of = kind();
                if (of == GgufValue.Kind.ARRAY) {
                    throw wrong("has lists within lists in '" + Shown.text(key) + "'");
                }
                long items = count("items of '" + Shown.text(key) + "'", of.leastBytes());
                List<GgufValue> values = new ArrayList<>();
                for (long i = 0; i < items; i++) {
                    values.add(value(of, key));
                }
                yield new GgufValue.Items(of, values);
            }
            case I8 -> new GgufValue.Whole(kind, (byte) whole(1));
            case I16 -> new GgufValue.Whole(kind, (short) whole(2));
            case I32 -> new GgufValue.Whole(kind, (int) whole(4));
            default -> new GgufValue.Whole(kind, whole(kind.leastBytes()));
        };
    }

    private GgufValue.Kind kind() throws IOException {
        long code = whole(4);
        if (code >= GgufValue.Kind.values().length) {
            throw wrong("has a value of type " + code);
        }
        return GgufValue.Kind.values()[(int) code];
    }

    /// A number of things that take at least so many bytes each.
    private long count(String what, int leastBytes) throws IOException {
        long count = whole(8);
        if (count < 0 || count > (size - position()) / leastBytes) {
            throw wrong("is said to have " + Long.toUnsignedString(count) + " " + what + ", " + (size - position())
                    + " bytes follow\n  the file is cut short or damaged: make it again");
        }
        return count;
    }

    private String text() throws IOException {
        long length = count("bytes of a text", 1);
        if (length > Integer.MAX_VALUE - 8) {
            throw wrong("has a text of " + length + " bytes");
        }
        byte[] utf8 = new byte[(int) length];
        for (int done = 0; done < utf8.length; ) {
            need(1);
            int part = Math.min(buffer.remaining(), utf8.length - done);
            buffer.get(utf8, done, part);
            done += part;
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(utf8))
                    .toString();
        } catch (CharacterCodingException e) {
            throw wrong("has a text that is no UTF-8");
        }
    }

    /// An unsigned little-endian number; of 8 bytes, its bits.
    private long whole(int bytes) throws IOException {
        need(bytes);
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            value |= (buffer.get() & 0xffL) << 8 * i;
        }
        return value;
    }

    private long position() {
        return filled - buffer.remaining();
    }

    private void need(int bytes) throws IOException {
        if (buffer.remaining() >= bytes) {
            return;
        }
        buffer.compact();
        while (buffer.position() < bytes) {
            int read = channel.read(buffer, filled);
            if (read < 0) {
                throw new EOFException();
            }
            filled += read;
        }
        buffer.flip();
    }

    private InputException wrong(String what) {
        return new InputException(path + ": " + what);
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new InputException(path + ": cannot be closed: " + e.getMessage(), e);
        }
    }
}
