package org.sftnative.io;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.LongUnaryOperator;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;

/// Rows of weights as a GGUF file holds them.
public final class GgufBlocks {
    private static final long CHUNK = 1 << 20;
    private static final int BLOCK = 32;
    /// What is not below rounds to infinity in fp16.
    private static final float F16_OVERFLOW = 65520f;

    private GgufBlocks() {}

    /// Writes a matrix row by row. F32, F16 and BF16 are rounded to nearest, ties to even. Q8_0: of
    /// each 32 values the largest magnitude over 127 is the scale, rounded to fp16; each value over
    /// the unrounded scale is rounded to the nearest whole number, ties away from zero, as
    /// llama.cpp's reference does.
    ///
    /// @param name of the tensor, for messages
    /// @param weights rows x columns elements of type `from`
    /// @param order which row of `weights` comes as the i-th
    /// @throws InputException if a weight is not finite, or too large for fp16
    public static void write(
            String name,
            MemorySegment weights,
            Dtype from,
            long rows,
            int columns,
            LongUnaryOperator order,
            GgufType to,
            TensorSource.Sink sink)
            throws IOException {
        long source = (long) columns * from.bytes();
        long target = to.bytes(columns);
        long together = Math.clamp(CHUNK / target, 1, rows);
        float[] values = new float[columns];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment single = arena.allocate(columns * 4L, 4);
            MemorySegment out = arena.allocate(together * target, 8);
            for (long row = 0; row < rows; ) {
                long filled = Math.min(together, rows - row);
                for (long i = 0; i < filled; i++, row++) {
                    Floats.convert(weights.asSlice(order.applyAsLong(row) * source, source), from, single, Dtype.F32);
                    MemorySegment.copy(single, JAVA_FLOAT, 0, values, 0, columns);
                    check(name, values, to);
                    store(values, out.asSlice(i * target, target), to);
                }
                sink.write(out.asSlice(0, filled * target));
            }
        }
    }

    private static void check(String name, float[] values, GgufType to) {
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw new InputException(name + " has weights that are not finite"
                        + "\n  the file is damaged, or of a run that diverged");
            }
            if (to == GgufType.F16 && Math.abs(value) >= F16_OVERFLOW) {
                throw new InputException(
                        name + " has a weight of " + value + ", fp16 ends at 65504\n  export with --type bf16 or f32");
            }
        }
    }

    private static void store(float[] values, MemorySegment to, GgufType type) {
        switch (type) {
            case F32 -> MemorySegment.copy(values, 0, to, JAVA_FLOAT_UNALIGNED, 0, values.length);
            case F16 -> {
                for (int i = 0; i < values.length; i++) {
                    to.setAtIndex(JAVA_SHORT_UNALIGNED, i, Float.floatToFloat16(values[i]));
                }
            }
            case BF16 -> {
                for (int i = 0; i < values.length; i++) {
                    to.setAtIndex(JAVA_SHORT_UNALIGNED, i, Floats.bf16(values[i]));
                }
            }
            case Q8_0 -> {
                long at = 0;
                for (int first = 0; first < values.length; first += BLOCK, at += type.bytes(BLOCK)) {
                    block(values, first, to, at);
                }
            }
        }
    }

    private static void block(float[] values, int first, MemorySegment to, long at) {
        float largest = 0;
        for (int i = first; i < first + BLOCK; i++) {
            largest = Math.max(largest, Math.abs(values[i]));
        }
        float scale = largest / 127f;
        float inverse = scale == 0 ? 0 : 1 / scale;
        to.set(JAVA_SHORT_UNALIGNED, at, Float.floatToFloat16(scale));
        for (int i = 0; i < BLOCK; i++) {
            float steps = Math.abs(values[first + i] * inverse);
            float whole = (float) Math.floor(steps);
            whole += (float) Math.floor(2 * (steps - whole));
            to.set(JAVA_BYTE, at + 2 + i, (byte) (values[first + i] < 0 ? -whole : whole));
        }
    }
}
