package org.sftnative.io;

import java.util.Optional;
import java.util.stream.Stream;

/// Element types of tensors in a GGUF file: those that are written here.
public enum GgufType {
    F32(0, 1, 4),
    F16(1, 1, 2),
    BF16(30, 1, 2),
    /// 32 values: an fp16 scale, then a signed byte each.
    Q8_0(8, 32, 34);

    private final int code;
    private final int block;
    private final int blockBytes;

    GgufType(int code, int block, int blockBytes) {
        this.code = code;
        this.block = block;
        this.blockBytes = blockBytes;
    }

    int code() {
        return code;
    }

    /// Values that are stored together; a row holds a whole number of them.
    public int block() {
        return block;
    }

    /// Bytes of as many values, whole blocks.
    ///
    /// @throws ArithmeticException if they are too many
    public long bytes(long values) {
        return Math.multiplyExact(values / block, (long) blockBytes);
    }

    static Optional<GgufType> of(int code) {
        return Stream.of(values()).filter(type -> type.code == code).findFirst();
    }
}
