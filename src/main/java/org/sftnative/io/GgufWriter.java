package org.sftnative.io;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.CRC32C;

/// Writes GGUF files, version 3, little-endian, one tensor at a time. A file is there whole or not
/// at all.
public final class GgufWriter {
    /// The format's default: where each tensor starts.
    public static final int ALIGNMENT = 32;

    static final int VERSION = 3;
    static final int MAGIC = 'G' | 'G' << 8 | 'U' << 16 | 'F' << 24;

    /// What fits a call of the channel, and a slice of a segment's int index.
    private static final long CHUNK = 1 << 26;

    private GgufWriter() {}

    /// Writes a file, replacing it if it exists.
    ///
    /// @return CRC-32C of the part that holds the tensors, to compare with [GgufFile#checksum]
    public static long write(Path file, SequencedMap<String, GgufValue> metadata, List<GgufTensor> tensors) {
        byte[] header = header(metadata, tensors);
        CRC32C checksum = new CRC32C();
        AtomicFiles.write(file, to -> {
            put(to, ByteBuffer.wrap(header));
            for (GgufTensor tensor : tensors) {
                long[] written = {0};
                tensor.content().writeTo(bytes -> {
                    for (long done = 0; done < bytes.byteSize(); done += CHUNK) {
                        MemorySegment part = bytes.asSlice(done, Math.min(CHUNK, bytes.byteSize() - done));
                        checksum.update(part.asByteBuffer());
                        put(to, part.asByteBuffer());
                    }
                    written[0] += bytes.byteSize();
                });
                if (written[0] != tensor.info().byteSize()) {
                    throw new IllegalStateException(tensor.name() + " gave " + written[0] + " bytes, not "
                            + tensor.info().byteSize());
                }
                byte[] padding = new byte[(int) (padded(written[0]) - written[0])];
                checksum.update(padding);
                put(to, ByteBuffer.wrap(padding));
            }
        });
        return checksum.getValue();
    }

    static long padded(long bytes) {
        return Math.ceilDiv(bytes, (long) ALIGNMENT) * ALIGNMENT;
    }

    private static void put(WritableByteChannel to, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            to.write(bytes);
        }
    }

    private static byte[] header(SequencedMap<String, GgufValue> metadata, List<GgufTensor> tensors) {
        Bytes out = new Bytes();
        out.whole(MAGIC, 4);
        out.whole(VERSION, 4);
        out.whole(tensors.size(), 8);
        out.whole(metadata.size(), 8);
        for (Map.Entry<String, GgufValue> entry : metadata.entrySet()) {
            out.text(entry.getKey());
            out.whole(entry.getValue().kind().ordinal(), 4);
            out.value(entry.getValue());
        }
        long offset = 0;
        for (GgufTensor tensor : tensors) {
            out.text(tensor.name());
            out.whole(tensor.shape().size(), 4);
            tensor.shape().reversed().forEach(dimension -> out.whole(dimension, 8));
            out.whole(tensor.type().code(), 4);
            out.whole(offset, 8);
            offset += padded(tensor.info().byteSize());
        }
        while (out.size() % ALIGNMENT != 0) {
            out.write(0);
        }
        return out.toByteArray();
    }

    private static final class Bytes extends ByteArrayOutputStream {
        void whole(long value, int bytes) {
            for (int i = 0; i < bytes; i++) {
                write((int) (value >>> 8 * i));
            }
        }

        void text(String text) {
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            whole(utf8.length, 8);
            writeBytes(utf8);
        }

        void value(GgufValue value) {
            switch (value) {
                case GgufValue.Whole whole -> whole(whole.value(), whole.kind().leastBytes());
                case GgufValue.Real real -> {
                    ByteBuffer bytes = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
                    if (real.kind() == GgufValue.Kind.F32) {
                        bytes.putFloat((float) real.value());
                    } else {
                        bytes.putDouble(real.value());
                    }
                    write(bytes.array(), 0, bytes.position());
                }
                case GgufValue.Flag flag -> write(flag.value() ? 1 : 0);
                case GgufValue.Text text -> text(text.value());
                case GgufValue.Items items -> {
                    whole(items.of().ordinal(), 4);
                    whole(items.values().size(), 8);
                    items.values().forEach(this::value);
                }
            }
        }
    }
}
