package org.sftnative.io;

import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sftnative.tensor.Dtype;

/// The element types of a safetensors file, spelled as its header spells them. The order is the format's own,
/// narrowest first: the writer sorts by it, descending.
/// Source: the `Dtype` of the safetensors library, 0.8.
public enum StoredDtype {
    BOOL(8),
    F4(4),
    F6_E2M3(6),
    F6_E3M2(6),
    U8(8),
    I8(8),
    F8_E5M2(8),
    F8_E4M3(8),
    F8_E8M0(8),
    I16(16),
    U16(16),
    F16(16),
    BF16(16),
    I32(32),
    U32(32),
    F32(32),
    C64(64),
    F64(64),
    I64(64),
    U64(64);

    private static final Map<String, StoredDtype> BY_NAME =
            Stream.of(values()).collect(Collectors.toUnmodifiableMap(StoredDtype::name, Function.identity()));

    private final int bits;

    StoredDtype(int bits) {
        this.bits = bits;
    }

    /// Bits of one element: 4 and 6 for the packed types, else 8 to 64.
    public int bits() {
        return bits;
    }

    /// The type that weights of this kind are computed in; empty for integers and for types that need a scale.
    public Optional<Dtype> weights() {
        return switch (this) {
            case F32 -> Optional.of(Dtype.F32);
            case BF16 -> Optional.of(Dtype.BF16);
            case F16 -> Optional.of(Dtype.F16);
            default -> Optional.empty();
        };
    }

    /// How a file spells a type of weights.
    public static StoredDtype of(Dtype dtype) {
        return switch (dtype) {
            case F32 -> F32;
            case BF16 -> BF16;
            case F16 -> F16;
        };
    }

    /// The type that a header names, case-sensitive; empty if there is none of that name.
    static Optional<StoredDtype> named(String name) {
        return Optional.ofNullable(BY_NAME.get(name));
    }

    /// Bytes of a tensor of this type, or empty if its shape is not one: a product (of the dimensions that are not
    /// 0, so that a 0 hides nothing) or a number of bits beyond 2^63, or packed elements that end within a byte.
    Optional<Long> bytesOf(Iterable<Long> shape) {
        try {
            long product = 1;
            boolean empty = false;
            for (long dimension : shape) {
                empty |= dimension == 0;
                product = dimension == 0 ? product : Math.multiplyExact(product, dimension);
            }
            long size = Math.multiplyExact(product, (long) bits);
            if (empty) {
                return Optional.of(0L);
            }
            return size % 8 == 0 ? Optional.of(size / 8) : Optional.empty();
        } catch (ArithmeticException overflow) {
            return Optional.empty();
        }
    }
}
