package org.sftnative.io;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import org.sftnative.tensor.Dtype;

/// Copies weights from one type to another, both little-endian as this platform is, at any alignment. fp32 is
/// rounded to nearest, ties to even; a NaN stays one; fp16 overflows to infinity.
final class Floats {
    /// 128 KiB of fp32: source, target and this fit the second-level cache.
    private static final int CHUNK = 1 << 15;

    private Floats() {}

    /// @param from elements of type `stored`
    /// @param to as many elements of type `as`
    static void convert(MemorySegment from, Dtype stored, MemorySegment to, Dtype as) {
        long n = from.byteSize() / stored.bytes();
        if (from.byteSize() != n * stored.bytes() || to.byteSize() != n * as.bytes()) {
            throw new IllegalArgumentException("from holds " + from.byteSize() + " bytes of " + stored + ", to holds "
                    + to.byteSize() + " of " + as);
        }
        if (stored == as) {
            MemorySegment.copy(from, 0, to, 0, from.byteSize());
            return;
        }
        float[] values = new float[(int) Math.min(n, CHUNK)];
        short[] halves = new short[values.length];
        for (long done = 0; done < n; done += values.length) {
            int count = (int) Math.min(values.length, n - done);
            load(from, stored, done, values, halves, count);
            store(values, halves, count, to, as, done);
        }
    }

    private static void load(MemorySegment from, Dtype stored, long first, float[] values, short[] halves, int count) {
        if (stored == Dtype.F32) {
            MemorySegment.copy(from, JAVA_FLOAT_UNALIGNED, first * 4, values, 0, count);
            return;
        }
        MemorySegment.copy(from, JAVA_SHORT_UNALIGNED, first * 2, halves, 0, count);
        if (stored == Dtype.BF16) {
            for (int i = 0; i < count; i++) {
                values[i] = Float.intBitsToFloat(halves[i] << 16);
            }
        } else {
            for (int i = 0; i < count; i++) {
                values[i] = Float.float16ToFloat(halves[i]);
            }
        }
    }

    private static void store(float[] values, short[] halves, int count, MemorySegment to, Dtype as, long first) {
        if (as == Dtype.F32) {
            MemorySegment.copy(values, 0, to, JAVA_FLOAT_UNALIGNED, first * 4, count);
            return;
        }
        if (as == Dtype.BF16) {
            for (int i = 0; i < count; i++) {
                halves[i] = bf16(values[i]);
            }
        } else {
            for (int i = 0; i < count; i++) {
                halves[i] = Float.floatToFloat16(values[i]);
            }
        }
        MemorySegment.copy(halves, 0, to, JAVA_SHORT_UNALIGNED, first * 2, count);
    }

    /// The bf16 nearest to `value`, ties to even, as its 16 bits. A NaN keeps sign and upper payload, made quiet:
    /// added to, as a number is, its bits would carry over into infinity or -0.
    static short bf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }
}
