package org.sftnative.io;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;

/// A safetensors file, mapped: 8 bytes of header length, a JSON header, a buffer that the tensors cover exactly.
/// Opening reads the header only and checks all of it; the size of the file is not limited. Stricter than the
/// Python library where that accepts something given twice. Any thread may read; closing unmaps the file, after
/// which [#bytes] of it throw.
public final class SafetensorsFile implements AutoCloseable {
    /// The library's own limit.
    static final long LONGEST_HEADER = 100_000_000;

    private final Path path;
    private final RandomAccessFile file;
    private final Arena arena;
    private final SafetensorsHeader header;
    private final long bufferStart;
    private final MemorySegment buffer;

    private SafetensorsFile(Path path, RandomAccessFile file, SafetensorsHeader header, long bufferStart, long bytes)
            throws IOException {
        this.path = path;
        this.file = file;
        this.header = header;
        this.bufferStart = bufferStart;
        this.arena = Arena.ofShared();
        try {
            this.buffer = file.getChannel().map(FileChannel.MapMode.READ_ONLY, bufferStart, bytes - bufferStart, arena);
        } catch (IOException | RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /// Opens a file and checks its header.
    ///
    /// @throws InputException naming the file, and the tensor that is wrong
    public static SafetensorsFile open(Path path) {
        if (!Files.isRegularFile(path)) {
            throw new InputException(path + (Files.exists(path) ? " is not a file" : " does not exist"));
        }
        RandomAccessFile file = null;
        try {
            // not a FileChannel of its own: that closes itself when its thread is interrupted
            file = new RandomAccessFile(path.toFile(), "r");
            long bytes = file.length();
            byte[] json = header(path, file, bytes);
            long bufferStart = Long.BYTES + (long) json.length;
            return new SafetensorsFile(
                    path, file, SafetensorsHeader.parse(path, json, bytes - bufferStart), bufferStart, bytes);
        } catch (IOException e) {
            closeQuietly(file, e);
            throw new InputException(path + ": cannot be read: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            closeQuietly(file, e);
            throw e;
        }
    }

    /// The header's bytes; nothing is allocated before its length is known to lie within the file and the limit.
    private static byte[] header(Path path, RandomAccessFile file, long bytes) throws IOException {
        if (bytes < Long.BYTES) {
            throw notSafetensors(path, "has " + bytes + " bytes, a safetensors file has at least 8");
        }
        byte[] prefix = new byte[Long.BYTES];
        file.readFully(prefix);
        long length = ByteBuffer.wrap(prefix).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length <= 0 || length > LONGEST_HEADER) {
            throw notSafetensors(
                    path,
                    "its header is said to have " + Long.toUnsignedString(length) + " bytes, must be 1 to "
                            + LONGEST_HEADER);
        }
        if (length > bytes - Long.BYTES) {
            throw notSafetensors(
                    path, "its header is said to have " + length + " bytes, " + (bytes - Long.BYTES) + " follow");
        }
        byte[] json = new byte[(int) length];
        file.readFully(json);
        return json;
    }

    private static InputException notSafetensors(Path path, String what) {
        return new InputException(path + ": " + what
                + "\n  it is cut short or is no safetensors file (a Git LFS pointer is a small text): get it again");
    }

    private static void closeQuietly(RandomAccessFile file, Exception cause) {
        try {
            if (file != null) {
                file.close();
            }
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    /// The file, as it was given.
    public Path path() {
        return path;
    }

    /// The `__metadata__` of the header; empty if it has none.
    public Map<String, String> metadata() {
        return header.metadata();
    }

    /// All tensors by name, in the order of the buffer.
    public SequencedMap<String, TensorInfo> tensors() {
        return header.tensors();
    }

    /// What the header says of one tensor.
    ///
    /// @throws InputException if the file has none of that name
    public TensorInfo info(String name) {
        return Optional.ofNullable(header.tensors().get(name))
                .orElseThrow(() -> new InputException(path + ": there is no tensor '" + Shown.text(name) + "'"));
    }

    /// A tensor's bytes in the mapping: read-only, unaligned, valid until [#close]. If the file is cut while it is
    /// mapped, touching them is an [InternalError], and in native code the end of the process: prefer [#read].
    public MemorySegment bytes(String name) {
        TensorInfo info = info(name);
        return buffer.asSlice(info.begin(), info.byteSize()).asReadOnly();
    }

    /// Copies a tensor's elements, in their order, into `to` as type `as`: rounded to nearest, ties to even, where
    /// `as` is narrower; a NaN stays one.
    ///
    /// @param to elements x `as.bytes()` bytes, at any alignment
    /// @throws InputException if the tensor is missing, is neither F32, BF16 nor F16, or the file shrank since it
    /// was opened
    /// @throws IllegalArgumentException if `to` has another size
    public void read(String name, Dtype as, MemorySegment to) {
        TensorInfo info = info(name);
        Dtype stored = info.dtype()
                .weights()
                .orElseThrow(() -> new InputException(path + ": tensor '" + Shown.text(name) + "' has dtype "
                        + info.dtype() + "\n  weights must be F32, BF16 or F16: quantized models are not supported"));
        try {
            Floats.convert(bytes(name), stored, to, as);
            // The fault of a page that is gone may be raised late, at the latest when this native call returns; and a
            // file
            // cut within its last page raises none, but reads as zeros.
            if (file.length() < bufferStart + info.end()) {
                throw shrank(name, null);
            }
        } catch (InternalError | IOException e) {
            throw shrank(name, e);
        }
    }

    /// Adds what tells a tensor from others to a hash: name, type, shape, and at most 4 KiB from its middle.
    void sample(String name, MessageDigest hash) {
        TensorInfo info = info(name);
        hash.update((name + info.dtype() + info.shape()).getBytes(StandardCharsets.UTF_8));
        long length = Math.min(4096, info.byteSize());
        try {
            hash.update(
                    bytes(name).asSlice((info.byteSize() - length) / 2, length).toArray(ValueLayout.JAVA_BYTE));
        } catch (InternalError e) {
            throw shrank(name, e);
        }
    }

    private InputException shrank(String name, Throwable cause) {
        return new InputException(
                path + ": tensor '" + Shown.text(name) + "' could not be read to its end"
                        + "\n  the file shrank while it was read, or its disk failed: get it again",
                cause);
    }

    @Override
    public void close() {
        arena.close();
        try {
            file.close();
        } catch (IOException e) {
            throw new InputException(path + ": cannot be closed: " + e.getMessage(), e);
        }
    }
}
