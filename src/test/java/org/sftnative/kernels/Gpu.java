package org.sftnative.kernels;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// A card for a test: buffers that are poisoned before use and guarded at both ends, and comparisons that say how far
/// off and where. Without a card the test is skipped and counted.
final class Gpu implements AutoCloseable {
    static final long STREAM = 0;
    private static final long GUARD = 256;
    private static final byte POISON = (byte) 0xff;

    private final List<Buffer> buffers = new ArrayList<>();
    final CudaKernels kernels;

    private Gpu(CudaKernels kernels) {
        this.kernels = kernels;
    }

    static Gpu open() {
        return switch (KernelSupport.probe(0)) {
            case KernelSupport.Ready ready -> new Gpu(ready.kernels());
            case KernelSupport.Missing missing -> {
                assumeTrue(false, missing.reason());
                throw new IllegalStateException();
            }
        };
    }

    /// Device memory; every byte is 0xff at first, which is NaN in every float type.
    final class Buffer {
        private final long base;
        private final long bytes;
        final long address;

        private Buffer(long bytes, long misaligned) {
            base = CudaDriver.allocate(2 * GUARD + bytes + misaligned);
            CudaDriver.fill(base, POISON, 2 * GUARD + bytes + misaligned, STREAM);
            this.bytes = bytes;
            address = base + GUARD + misaligned;
            buffers.add(this);
        }

        private MemorySegment read(Arena arena) {
            CudaDriver.synchronize(STREAM);
            MemorySegment host = arena.allocate(Math.max(8, bytes), 8);
            CudaDriver.toHost(host.asSlice(0, bytes), address);
            return host.asSlice(0, bytes);
        }

        short[] shorts() {
            try (Arena arena = Arena.ofConfined()) {
                return read(arena).toArray(JAVA_SHORT);
            }
        }

        float[] floats() {
            try (Arena arena = Arena.ofConfined()) {
                return read(arena).toArray(JAVA_FLOAT);
            }
        }

        double[] doubles() {
            try (Arena arena = Arena.ofConfined()) {
                return read(arena).toArray(JAVA_DOUBLE);
            }
        }

        byte[] bytes() {
            try (Arena arena = Arena.ofConfined()) {
                return read(arena).toArray(JAVA_BYTE);
            }
        }

        Buffer with(MemorySegment values) {
            CudaDriver.synchronize(STREAM);
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment host = arena.allocate(values.byteSize(), 8);
                host.copyFrom(values);
                CudaDriver.toDevice(address, host);
            }
            return this;
        }

        private void checkGuards() {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment host = arena.allocate(GUARD);
                for (long at : new long[] {address - GUARD, address + bytes}) {
                    CudaDriver.toHost(host, at);
                    for (byte b : host.toArray(JAVA_BYTE)) {
                        assertEquals(POISON, b, "a kernel wrote outside its buffer");
                    }
                }
            }
        }
    }

    Buffer bytes(long count) {
        return new Buffer(count, 0);
    }

    Buffer bf16(int count) {
        return new Buffer(2L * count, 0);
    }

    Buffer bf16(short[] values) {
        return bf16(values.length).with(MemorySegment.ofArray(values));
    }

    /// A copy that starts 2 bytes off a 16-byte boundary.
    Buffer misaligned(short[] values) {
        return new Buffer(2L * values.length, 2).with(MemorySegment.ofArray(values));
    }

    Buffer fp32(int count) {
        return new Buffer(4L * count, 0);
    }

    Buffer fp32(float[] values) {
        return fp32(values.length).with(MemorySegment.ofArray(values));
    }

    Buffer int32(int[] values) {
        return new Buffer(4L * values.length, 0).with(MemorySegment.ofArray(values));
    }

    Buffer int64(long[] values) {
        return new Buffer(8L * values.length, 0).with(MemorySegment.ofArray(values));
    }

    Buffer int8(byte[] values) {
        return new Buffer(values.length, 0).with(MemorySegment.ofArray(values));
    }

    @Override
    public void close() {
        CudaDriver.synchronize(STREAM);
        try {
            buffers.forEach(Buffer::checkGuards);
        } finally {
            buffers.forEach(buffer -> CudaDriver.free(buffer.base));
        }
    }

    /// bf16 bits of normal values.
    static short[] normals(Random random, int count, double scale) {
        short[] x = new short[count];
        for (int i = 0; i < count; i++) {
            x[i] = Bf16.round((float) (random.nextGaussian() * scale));
        }
        return x;
    }

    static double[] doubles(short[] bf16) {
        double[] x = new double[bf16.length];
        for (int i = 0; i < x.length; i++) {
            x[i] = Bf16.toFloat(bf16[i]);
        }
        return x;
    }

    static double[] doubles(float[] fp32) {
        double[] x = new double[fp32.length];
        for (int i = 0; i < x.length; i++) {
            x[i] = fp32[i];
        }
        return x;
    }

    /// The norm of the difference over the norm of the reference, and no element off by more than `each` times the
    /// larger of its own magnitude and the reference's root mean square. NaN fails.
    static void assertNear(String what, double[] reference, double[] actual, double relative, double each) {
        assertEquals(reference.length, actual.length, what);
        double difference = 0;
        double norm = 0;
        for (double r : reference) {
            norm += r * r;
        }
        double rms = Math.sqrt(norm / Math.max(1, reference.length));
        int bad = 0;
        int worst = 0;
        double worstBy = -1;
        for (int i = 0; i < reference.length; i++) {
            double off = Math.abs(actual[i] - reference[i]);
            difference += off * off;
            double by = off / Math.max(Math.abs(reference[i]), Math.max(rms, 1e-30));
            if (!(by <= each)) {
                bad++;
                if (!(by <= worstBy)) {
                    worst = i;
                    worstBy = by;
                }
            }
        }
        if (bad > 0) {
            fail(what + ": " + bad + " of " + reference.length + " elements are off, worst at " + worst + ": "
                    + actual[worst] + ", reference " + reference[worst]);
        }
        double error = Math.sqrt(difference / Math.max(norm, 1e-60));
        if (norm > 0 && !(error <= relative)) {
            fail(what + ": relative error " + error + ", allowed " + relative);
        }
    }

    static void assertSame(String what, short[] first, short[] second) {
        int at = Arrays.mismatch(first, second);
        if (at >= 0) {
            fail(what + " differs first at " + at + ": " + Integer.toHexString(first[at] & 0xffff) + " and "
                    + Integer.toHexString(second[at] & 0xffff));
        }
    }
}
