package org.sftnative.io;

import java.util.List;

/// What a safetensors header says of one tensor.
///
/// @param name as the file spells it; never a path
/// @param dtype type of the elements
/// @param shape dimensions, outermost first; empty for a scalar
/// @param begin first byte, counted from the start of the file's buffer (not of the file); any alignment
/// @param end the byte after the last
public record TensorInfo(String name, StoredDtype dtype, List<Long> shape, long begin, long end) {
    public TensorInfo {
        shape = List.copyOf(shape);
    }

    /// Number of elements: the product of the shape, 1 for a scalar.
    public long elements() {
        return shape.contains(0L) ? 0 : shape.stream().reduce(1L, Math::multiplyExact);
    }

    /// Bytes in the file.
    public long byteSize() {
        return end - begin;
    }
}
