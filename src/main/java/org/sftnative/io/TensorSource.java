package org.sftnative.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sftnative.tensor.Dtype;

/// A tensor on its way into a file.
///
/// @param name as the file shall spell it
/// @param dtype type of the elements in the file
/// @param shape dimensions, outermost first; empty for a scalar
/// @param content gives the bytes, when the writer asks
public record TensorSource(String name, StoredDtype dtype, List<Long> shape, Content content) {
    /// Gives a tensor's bytes, in order and in pieces of any size, so that nobody holds the whole.
    @FunctionalInterface
    public interface Content {
        void writeTo(Sink sink) throws IOException;
    }

    /// Takes the next bytes of a tensor. The segment may be used again once this returns.
    @FunctionalInterface
    public interface Sink {
        void write(MemorySegment bytes) throws IOException;
    }

    /// Bytes converted at a time.
    private static final long CHUNK = 1 << 20;

    /// @throws IllegalArgumentException if the shape is not one
    public TensorSource {
        shape = List.copyOf(shape);
        if (shape.stream().anyMatch(d -> d < 0) || dtype.bytesOf(shape).isEmpty()) {
            throw new IllegalArgumentException(
                    "tensor '" + name + "': shape " + shape + " of " + dtype + " is no size");
        }
    }

    /// A tensor whose bytes lie in memory as the file shall hold them.
    public static TensorSource of(String name, StoredDtype dtype, List<Long> shape, MemorySegment bytes) {
        return new TensorSource(name, dtype, shape, sink -> sink.write(bytes));
    }

    /// A tensor of weights of type `from` in memory, written as type `as`: rounded as [SafetensorsFile#read]
    /// rounds.
    public static TensorSource of(String name, List<Long> shape, MemorySegment weights, Dtype from, Dtype as) {
        if (from == as) {
            return of(name, StoredDtype.of(as), shape, weights);
        }
        return new TensorSource(name, StoredDtype.of(as), shape, sink -> {
            long elements = weights.byteSize() / from.bytes();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment chunk = arena.allocate(Math.min(elements, CHUNK) * as.bytes());
                for (long done = 0; done < elements; done += CHUNK) {
                    long count = Math.min(CHUNK, elements - done);
                    MemorySegment converted = chunk.asSlice(0, count * as.bytes());
                    Floats.convert(weights.asSlice(done * from.bytes(), count * from.bytes()), from, converted, as);
                    sink.write(converted);
                }
            }
        });
    }

    /// Number of elements: the product of the shape, 1 for a scalar.
    public long elements() {
        return byteSize() * 8 / dtype.bits();
    }

    /// Bytes in the file.
    public long byteSize() {
        return dtype.bytesOf(shape).orElseThrow();
    }
}
