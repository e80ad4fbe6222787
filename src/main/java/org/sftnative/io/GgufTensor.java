package org.sftnative.io;

import java.util.List;

/// A tensor on its way into a GGUF file.
///
/// @param name as llama.cpp spells it
/// @param type of the elements in the file
/// @param shape dimensions, outermost first; the file has them the other way round
/// @param content gives the bytes, when the writer asks
public record GgufTensor(String name, GgufType type, List<Long> shape, TensorSource.Content content) {
    /// What a file says of a tensor: all but its bytes.
    public record Info(GgufType type, List<Long> shape) {
        public Info {
            shape = List.copyOf(shape);
        }

        /// Bytes in the file, without what is added to align the next.
        public long byteSize() {
            return type.bytes(shape.stream().reduce(1L, Math::multiplyExact));
        }
    }

    public GgufTensor {
        shape = List.copyOf(shape);
        if (shape.isEmpty() || shape.size() > 4 || shape.getLast() % type.block() != 0) {
            throw new IllegalArgumentException(name + ": shape " + shape + " of " + type);
        }
    }

    /// What the file will say of it.
    public Info info() {
        return new Info(type, shape);
    }
}
