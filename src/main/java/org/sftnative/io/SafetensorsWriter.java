package org.sftnative.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/// Writes safetensors files, byte for byte as the Python library 0.8 does: tensors by type, widest first in that
/// library's order, then by name (as UTF-8); compact JSON; the header padded with spaces so that the buffer starts
/// at a multiple of 8.
public final class SafetensorsWriter {
    /// What transformers writes into every file, and asks for when it reads one.
    public static final Map<String, String> PYTORCH = Map.of("format", "pt");

    /// A `ByteBuffer` ends at 2 GiB; smaller pieces also keep the copy small that heap memory goes through.
    private static final long CHUNK = 8 << 20;

    private static final Comparator<TensorSource> LIBRARY_ORDER = Comparator.comparing(TensorSource::dtype)
            .reversed()
            .thenComparing(source -> source.name().getBytes(StandardCharsets.UTF_8), Arrays::compareUnsigned);

    private SafetensorsWriter() {}

    /// Writes a file whole or not at all, see [AtomicFiles]. Each tensor's content is asked for once, in the file's
    /// order, and streamed.
    ///
    /// @param metadata `__metadata__`, in this order; the Python library's own order is random from two entries on
    /// @throws IllegalArgumentException if two tensors have one name, or one is called `__metadata__`
    /// @throws IllegalStateException if a content has more or fewer bytes than its shape; nothing is written then
    /// @throws java.io.UncheckedIOException if the disk refuses
    public static void write(Path target, Map<String, String> metadata, List<TensorSource> tensors) {
        List<TensorSource> sorted = tensors.stream().sorted(LIBRARY_ORDER).toList();
        byte[] header = header(metadata, sorted);
        AtomicFiles.write(target, channel -> {
            channel.write(ByteBuffer.wrap(header));
            for (TensorSource tensor : sorted) {
                writeContent(channel, tensor);
            }
        });
    }

    private static byte[] header(Map<String, String> metadata, List<TensorSource> sorted) {
        Set<String> names = new HashSet<>(Set.of("__metadata__"));
        StringBuilder json = new StringBuilder("{");
        if (!metadata.isEmpty()) {
            json.append("\"__metadata__\":")
                    .append(metadata.entrySet().stream()
                            .map(entry -> quoted(entry.getKey()) + ":" + quoted(entry.getValue()))
                            .collect(Collectors.joining(",", "{", "}")));
        }
        long offset = 0;
        for (TensorSource tensor : sorted) {
            if (!names.add(tensor.name())) {
                throw new IllegalArgumentException("two tensors are called '" + tensor.name() + "'");
            }
            long end = offset + tensor.byteSize();
            json.append(json.length() > 1 ? "," : "")
                    .append(quoted(tensor.name()))
                    .append(":{\"dtype\":\"")
                    .append(tensor.dtype())
                    .append("\",\"shape\":")
                    .append(tensor.shape().stream().map(String::valueOf).collect(Collectors.joining(",", "[", "]")))
                    .append(",\"data_offsets\":[" + offset + "," + end + "]}");
            offset = end;
        }
        byte[] text = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
        int padded = Math.ceilDiv(text.length, 8) * 8;
        if (padded > SafetensorsFile.LONGEST_HEADER) {
            throw new IllegalArgumentException(
                    "the header would have " + padded + " bytes, more than a reader accepts");
        }
        ByteBuffer header = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN);
        header.putLong(padded).put(text);
        while (header.hasRemaining()) {
            header.put((byte) ' ');
        }
        return header.array();
    }

    /// A JSON string with the escapes that serde_json writes, the shortest.
    private static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            switch (c) {
                case '"' -> json.append("\\\"");
                case '\\' -> json.append("\\\\");
                case '\b' -> json.append("\\b");
                case '\f' -> json.append("\\f");
                case '\n' -> json.append("\\n");
                case '\r' -> json.append("\\r");
                case '\t' -> json.append("\\t");
                default -> json.append(c < 0x20 ? String.format("\\u%04x", (int) c) : String.valueOf(c));
            }
        }
        return json.append('"').toString();
    }

    private static void writeContent(WritableByteChannel channel, TensorSource tensor) throws IOException {
        long[] written = {0};
        tensor.content().writeTo(bytes -> {
            for (long done = 0; done < bytes.byteSize(); done += CHUNK) {
                MemorySegment chunk = bytes.asSlice(done, Math.min(CHUNK, bytes.byteSize() - done));
                // heap memory other than a byte[] has no ByteBuffer: it is copied
                written[0] += channel.write(
                        chunk.isNative()
                                ? chunk.asByteBuffer()
                                : ByteBuffer.wrap(chunk.toArray(ValueLayout.JAVA_BYTE)));
            }
        });
        if (written[0] != tensor.byteSize()) {
            throw new IllegalStateException(
                    "tensor '" + tensor.name() + "': " + written[0] + " bytes were given, shape " + tensor.shape()
                            + " of " + tensor.dtype() + " is " + tensor.byteSize());
        }
    }
}
