package org.sftnative.io;

import java.util.List;

/// One value of a GGUF file's metadata. Source: the GGUF specification, version 3.
public sealed interface GgufValue {
    /// Types by their number in the file.
    enum Kind {
        U8(1),
        I8(1),
        U16(2),
        I16(2),
        U32(4),
        I32(4),
        F32(4),
        BOOL(1),
        STRING(8),
        ARRAY(12),
        U64(8),
        I64(8),
        F64(8);

        private final int leastBytes;

        Kind(int leastBytes) {
            this.leastBytes = leastBytes;
        }

        /// Bytes that a value has at least.
        int leastBytes() {
            return leastBytes;
        }
    }

    /// The type as the file has it.
    Kind kind();

    /// A whole number; U64 as its bits.
    record Whole(Kind kind, long value) implements GgufValue {}

    /// A number of type F32 or F64.
    record Real(Kind kind, double value) implements GgufValue {}

    /// True or false.
    record Flag(boolean value) implements GgufValue {
        @Override
        public Kind kind() {
            return Kind.BOOL;
        }
    }

    /// UTF-8 text.
    record Text(String value) implements GgufValue {
        @Override
        public Kind kind() {
            return Kind.STRING;
        }
    }

    /// Values of one type; none of them a list.
    record Items(Kind of, List<GgufValue> values) implements GgufValue {
        public Items {
            values = List.copyOf(values);
        }

        @Override
        public Kind kind() {
            return Kind.ARRAY;
        }
    }

    static GgufValue of(long value) {
        return new Whole(Kind.U32, value);
    }

    static GgufValue of(float value) {
        return new Real(Kind.F32, value);
    }

    static GgufValue of(boolean value) {
        return new Flag(value);
    }

    static GgufValue of(String value) {
        return new Text(value);
    }

    static GgufValue texts(List<String> values) {
        return new Items(Kind.STRING, values.stream().<GgufValue>map(Text::new).toList());
    }

    static GgufValue floats(List<Float> values) {
        return new Items(
                Kind.F32,
                values.stream().<GgufValue>map(v -> new Real(Kind.F32, v)).toList());
    }

    static GgufValue ints(List<Integer> values) {
        return new Items(
                Kind.I32,
                values.stream().<GgufValue>map(v -> new Whole(Kind.I32, v)).toList());
    }
}
