package org.sftnative.io;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;

/// Reading and writing: round trips, conversion, files that are large, cut while mapped, or spoilt at random.
class SafetensorsFileTest {
    @TempDir
    Path folder;

    @Test
    void everyTensorComesBackAsItWasWritten() {
        Random random = new Random(1);
        List<TensorSource> tensors = new ArrayList<>();
        List<MemorySegment> contents = new ArrayList<>();
        for (StoredDtype dtype : StoredDtype.values()) {
            for (List<Long> shape : List.of(List.of(4L, 6L), List.of(0L, 3L), List.of(20_000L))) {
                byte[] content = new byte[dtype.bytesOf(shape).orElseThrow().intValue()];
                random.nextBytes(content);
                contents.add(MemorySegment.ofArray(content));
                tensors.add(TensorSource.of(dtype + "." + shape, dtype, shape, contents.getLast()));
            }
        }
        Path path = folder.resolve("all.safetensors");
        SafetensorsWriter.write(path, Map.of("k\n\"", "\u4e2d"), tensors);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertEquals(Map.of("k\n\"", "\u4e2d"), file.metadata());
            for (int i = 0; i < tensors.size(); i++) {
                assertEquals(
                        tensors.get(i).shape(), file.info(tensors.get(i).name()).shape());
                assertEquals(
                        -1, contents.get(i).mismatch(file.bytes(tensors.get(i).name())));
            }
        }
    }

    @Test
    void misalignedOffsetsAreRead() throws IOException {
        Path path = folder.resolve("odd.safetensors");
        byte[] bytes = SafetensorsBytes.file(
                "{'a':{'dtype':'U8','shape':[1],'data_offsets':[0,1]},"
                        + "'f':{'dtype':'F32','shape':[2],'data_offsets':[1,9]},"
                        + "'h':{'dtype':'BF16','shape':[1],'data_offsets':[9,11]}}",
                11);
        MemorySegment.ofArray(bytes).set(JAVA_FLOAT_UNALIGNED, bytes.length - 10, 1.5f);
        MemorySegment.ofArray(bytes).set(JAVA_FLOAT_UNALIGNED, bytes.length - 6, -2f);
        MemorySegment.ofArray(bytes).set(JAVA_SHORT_UNALIGNED, bytes.length - 2, (short) 0x4040);
        Files.write(path, bytes);
        try (SafetensorsFile file = SafetensorsFile.open(path);
                Arena arena = Arena.ofConfined()) {
            MemorySegment to = arena.allocate(8);
            file.read("f", Dtype.F32, to);
            assertEquals(List.of(1.5f, -2f), floats(to));
            file.read("f", Dtype.BF16, to.asSlice(3, 4)); // an odd address is allowed in the target too
            assertEquals((short) 0x3fc0, to.get(JAVA_SHORT_UNALIGNED, 3));
            file.read("h", Dtype.F32, to.asSlice(0, 4));
            assertEquals(3f, to.get(JAVA_FLOAT_UNALIGNED, 0));
        }
    }

    @Test
    void everyHalfComesBackFromFp32() {
        for (Dtype half : List.of(Dtype.BF16, Dtype.F16)) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment stored = arena.allocate(2 << 16);
                MemorySegment wide = arena.allocate(4 << 16);
                MemorySegment back = arena.allocate(2 << 16);
                for (int i = 0; i < 1 << 16; i++) {
                    stored.setAtIndex(JAVA_SHORT, i, (short) i);
                }
                Floats.convert(stored, half, wide, Dtype.F32);
                Floats.convert(wide, Dtype.F32, back, half);
                for (int i = 0; i < 1 << 16; i++) {
                    float value = wide.getAtIndex(JAVA_FLOAT, i);
                    int bits = back.getAtIndex(JAVA_SHORT, i) & 0xffff;
                    assertEquals(Float.isNaN(value), isNan(bits, half), "bits " + i);
                    assertTrue(bits == i || Float.isNaN(value), "bits " + i + " came back as " + bits);
                }
            }
        }
    }

    @Test
    void bf16IsTheNearestAndTiesGoToEven() {
        Random random = new Random(2);
        for (int i = 0; i < 200_000; i++) {
            // every second one a tie or next to one
            int bits = random.nextInt();
            float value = Float.intBitsToFloat(i % 2 == 0 ? bits : bits & 0xffff0000 | 0x7fff + random.nextInt(3));
            if (!Float.isFinite(value)) {
                continue;
            }
            int low = Float.floatToRawIntBits(value) >>> 16; // the neighbour towards zero
            double down = Math.abs((double) value - bf16(low));
            double up = Math.abs(bf16(low + 1) - (double) value);
            int nearest = down < up || down == up && low % 2 == 0 ? low : low + 1;
            assertEquals(nearest, Floats.bf16(value) & 0xffff, () -> "of " + value);
        }
    }

    @Test
    void nanStaysNanInEveryConversion() {
        for (int bits :
                new int[] {0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7fc00000, 0x7f80ffff, 0x7fff8000}) {
            assertTrue(isNan(Floats.bf16(Float.intBitsToFloat(bits)) & 0xffff, Dtype.BF16), Integer.toHexString(bits));
        }
        assertEquals(0x7f80, Floats.bf16(Float.POSITIVE_INFINITY) & 0xffff);
        assertEquals(0x7f80, Floats.bf16(Float.MAX_VALUE) & 0xffff, "rounds up to infinity, as IEEE says");
    }

    @Test
    void writingAsAnotherTypeRoundsAsReadingDoes() {
        long n = (1 << 20) + 3; // beyond one chunk
        Path wide = folder.resolve("wide.safetensors");
        Path narrow = folder.resolve("narrow.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment weights = arena.allocate(n * 4);
            Random random = new Random(3);
            for (long i = 0; i < n; i++) {
                weights.setAtIndex(JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            SafetensorsWriter.write(
                    wide, Map.of(), List.of(TensorSource.of("w", StoredDtype.F32, List.of(n), weights)));
            SafetensorsWriter.write(
                    narrow, Map.of(), List.of(TensorSource.of("w", List.of(n), weights, Dtype.F32, Dtype.BF16)));
            MemorySegment read = arena.allocate(n * 2);
            try (SafetensorsFile first = SafetensorsFile.open(wide);
                    SafetensorsFile second = SafetensorsFile.open(narrow)) {
                first.read("w", Dtype.BF16, read);
                assertEquals(StoredDtype.BF16, second.info("w").dtype());
                assertEquals(-1, read.mismatch(second.bytes("w")));
            }
        }
    }

    @Test
    void targetOfAnotherSizeIsAFaultOfTheProgram() {
        Path path = ones("w", 4);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            MemorySegment small = MemorySegment.ofArray(new byte[15]);
            assertThrows(IllegalArgumentException.class, () -> file.read("w", Dtype.F32, small));
            assertThrows(IllegalArgumentException.class, () -> file.read("w", Dtype.BF16, small));
        }
    }

    @Test
    void quantizedWeightsAndMissingTensorsAreRefusedByName() throws IOException {
        Path path = folder.resolve("int.safetensors");
        Files.write(path, SafetensorsBytes.file("{'t':{'dtype':'I32','shape':[1],'data_offsets':[0,4]}}", 4));
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            MemorySegment to = MemorySegment.ofArray(new byte[4]);
            var quantized = assertThrows(InputException.class, () -> file.read("t", Dtype.F32, to));
            assertTrue(quantized.getMessage().startsWith(path + ": tensor 't' has dtype I32\n  weights must be F32"));
            var missing = assertThrows(InputException.class, () -> file.read("u", Dtype.F32, to));
            assertEquals(path + ": there is no tensor 'u'", missing.getMessage());
        }
    }

    @Test
    void tensorsBeyondFourGibibytesAreRead() throws IOException {
        Path path = folder.resolve("sparse.safetensors");
        long first = 5L << 30;
        String header = "{\"big\":{\"dtype\":\"U8\",\"shape\":[" + first + "],\"data_offsets\":[0," + first + "]},"
                + "\"last\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" + first + "," + (first + 8) + "]}}";
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.write(SafetensorsBytes.prefixed(json.length, json));
            file.seek(8 + json.length + first);
            file.writeInt(Integer.reverseBytes(Float.floatToIntBits(1.5f)));
            file.writeInt(Integer.reverseBytes(Float.floatToIntBits(-3f)));
        }
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            MemorySegment to = MemorySegment.ofArray(new byte[8]);
            file.read("last", Dtype.F32, to);
            assertEquals(List.of(1.5f, -3f), floats(to));
            assertEquals(first, file.bytes("big").byteSize());
            assertEquals(0, file.bytes("big").get(JAVA_BYTE, first - 1));
        }
    }

    @Test
    void fileThatShrinksWhileMappedIsRefusedNamingTheTensor() throws IOException {
        // to within the last page (reads as zeros, no fault), and to one page (a fault); cold and compiled code
        for (long elements : new long[] {3, 40, 5000, 1 << 20}) {
            for (boolean within : new boolean[] {true, false}) {
                Path path = ones("w", elements);
                try (SafetensorsFile file = SafetensorsFile.open(path)) {
                    for (Dtype as : Dtype.values()) {
                        MemorySegment to = MemorySegment.ofArray(new byte[(int) elements * as.bytes()]);
                        for (int i = 0; i < (elements < 100 ? 20_000 : 3); i++) {
                            file.read("w", as, to);
                        }
                    }
                    long size = Files.size(path);
                    try (RandomAccessFile cut = new RandomAccessFile(path.toFile(), "rw")) {
                        cut.setLength(within ? size - 1 : Math.min(size - 1, 4096));
                    }
                    for (Dtype as : Dtype.values()) {
                        MemorySegment to = MemorySegment.ofArray(new byte[(int) elements * as.bytes()]);
                        var refused = assertThrows(InputException.class, () -> file.read("w", as, to));
                        assertEquals(
                                path + ": tensor 'w' could not be read to its end"
                                        + "\n  the file shrank while it was read, or its disk failed: get it again",
                                refused.getMessage());
                    }
                }
            }
        }
    }

    @Test
    void randomDamageIsAValueOrAnInputException() throws IOException {
        byte[] sound = Files.readAllBytes(ones("model.layers.0.weight", 4));
        byte[] two = SafetensorsBytes.file(
                "{'__metadata__':{'format':'pt'},'a':{'dtype':'BF16','shape':[2,2],'data_offsets':[0,8],'x':[1.5,null]},"
                        + "'b\\u00e9':{'dtype':'F32','shape':[],'data_offsets':[8,12]}}",
                12);
        byte[] alphabet = "{}[]\",:0123456789-+.eE\\u \n\0\u00fftfn'FB_".getBytes(StandardCharsets.ISO_8859_1);
        Random random = new Random(4);
        int read = 0;
        int refused = 0;
        for (int round = 0; round < 8_000; round++) {
            Path path = folder.resolve(round + ".safetensors"); // truncating one file each time is 100 times slower
            byte[] bytes = (round % 2 == 0 ? sound : two).clone();
            for (int damage = random.nextInt(3); damage >= 0; damage--) {
                bytes = damaged(bytes, random, alphabet);
            }
            Files.write(path, bytes);
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                for (TensorInfo info : file.tensors().values()) {
                    if (info.dtype().weights().isPresent()) {
                        MemorySegment to = MemorySegment.ofArray(new byte[(int) info.elements() * 4]);
                        file.read(info.name(), Dtype.F32, to);
                    }
                }
                read++;
            } catch (InputException e) {
                assertTrue(e.getMessage().startsWith(path + ": "), e.getMessage());
                refused++;
            }
            Files.delete(path);
        }
        assertTrue(read > 200 && refused > 3_000, read + " read, " + refused + " refused: the damage is one-sided");
    }

    @Test
    void contentOfTheWrongLengthLeavesTheOldFile() throws IOException {
        Path path = ones("w", 4);
        byte[] before = Files.readAllBytes(path);
        for (int length : new int[] {0, 15, 17}) {
            var wrong = TensorSource.of("w", StoredDtype.F32, List.of(4L), MemorySegment.ofArray(new byte[length]));
            var refused = assertThrows(
                    IllegalStateException.class, () -> SafetensorsWriter.write(path, Map.of(), List.of(wrong)));
            assertTrue(refused.getMessage().startsWith("tensor 'w': " + length + " bytes were given"));
            assertEquals(-1, MemorySegment.ofArray(before).mismatch(MemorySegment.ofArray(Files.readAllBytes(path))));
            assertEquals(List.of(path), files());
        }
    }

    @Test
    void failureOfTheContentLeavesNothingBehind() throws IOException {
        Path path = folder.resolve("never.safetensors");
        var failing = new TensorSource("w", StoredDtype.U8, List.of(2L), sink -> {
            sink.write(MemorySegment.ofArray(new byte[1]));
            throw new IOException("no space left");
        });
        var failed = assertThrows(
                UncheckedIOException.class, () -> SafetensorsWriter.write(path, Map.of(), List.of(failing)));
        assertTrue(failed.getMessage().contains("never.safetensors cannot be written: no space left"));
        assertEquals(List.of(), files());
    }

    @Test
    void twoTensorsOfOneNameAreNotWritten() {
        Path path = folder.resolve("twice.safetensors");
        var w = TensorSource.of("w", StoredDtype.U8, List.of(1L), MemorySegment.ofArray(new byte[1]));
        assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.write(path, Map.of(), List.of(w, w)));
        assertFalse(Files.exists(path));
    }

    private static byte[] damaged(byte[] bytes, Random random, byte[] alphabet) {
        int at = random.nextInt(10) == 0 ? random.nextInt(8) : random.nextInt(bytes.length);
        return switch (random.nextInt(4)) {
            case 0 -> {
                byte[] flipped = bytes.clone();
                flipped[at] ^= (byte) (1 << random.nextInt(8));
                yield flipped;
            }
            case 1 -> {
                byte[] replaced = bytes.clone();
                replaced[at] = alphabet[random.nextInt(alphabet.length)];
                yield replaced;
            }
            case 2 -> spliced(bytes, at, at, new byte[] {alphabet[random.nextInt(alphabet.length)]});
            default -> spliced(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(4)), new byte[0]);
        };
    }

    private static byte[] spliced(byte[] bytes, int from, int to, byte[] between) {
        if (bytes.length - (to - from) + between.length < 8) {
            return bytes;
        }
        byte[] all = new byte[bytes.length - (to - from) + between.length];
        System.arraycopy(bytes, 0, all, 0, from);
        System.arraycopy(between, 0, all, from, between.length);
        System.arraycopy(bytes, to, all, from + between.length, bytes.length - to);
        return all;
    }

    private Path ones(String name, long elements) {
        Path path = folder.resolve(name + elements + ".safetensors");
        MemorySegment bytes = MemorySegment.ofArray(new byte[(int) elements * 4]);
        for (long i = 0; i < elements; i++) {
            bytes.set(JAVA_FLOAT_UNALIGNED, i * 4, 1f);
        }
        SafetensorsWriter.write(
                path,
                SafetensorsWriter.PYTORCH,
                List.of(TensorSource.of(name, StoredDtype.F32, List.of(elements), bytes)));
        return path;
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> all = Files.list(folder)) {
            return all.toList();
        }
    }

    private static List<Float> floats(MemorySegment bytes) {
        List<Float> values = new ArrayList<>();
        for (long i = 0; i < bytes.byteSize(); i += 4) {
            values.add(bytes.get(JAVA_FLOAT_UNALIGNED, i));
        }
        return values;
    }

    private static double bf16(int bits) {
        // beyond the largest finite bf16 lies, for rounding, 2^128
        return (bits & 0x7fff) == 0x7f80
                ? Math.scalb(bits > 0x7fff ? -1.0 : 1.0, 128)
                : Float.intBitsToFloat(bits << 16);
    }

    private static boolean isNan(int bits, Dtype half) {
        return (bits & 0x7fff) > (half == Dtype.BF16 ? 0x7f80 : 0x7c00);
    }
}
