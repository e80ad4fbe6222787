package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;

/// What is written is read; what is damaged is a typed error.
class GgufFileTest {
    /// magic, version, two counts
    private static final int FIRST_KEY = 24;

    @TempDir
    Path directory;

    private final SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    private Path file;
    private byte[] bytes;

    @BeforeEach
    void write() throws IOException {
        metadata.put("general.architecture", GgufValue.of("llama"));
        metadata.put("a.whole", GgufValue.of(4_000_000_000L));
        metadata.put("a.real", GgufValue.of(1e-6f));
        metadata.put("a.flag", GgufValue.of(true));
        metadata.put("a.byte", new GgufValue.Whole(GgufValue.Kind.I8, -3));
        metadata.put("a.long", new GgufValue.Whole(GgufValue.Kind.I64, Long.MIN_VALUE));
        metadata.put("a.double", new GgufValue.Real(GgufValue.Kind.F64, Math.PI));
        metadata.put("some.texts", GgufValue.texts(List.of("", "\u2581caf\u00e9", "\ud83d\ude00")));
        metadata.put("some.floats", GgufValue.floats(List.of(0f, -1f)));
        metadata.put("some.ints", GgufValue.ints(List.of(1, -6)));
        file = directory.resolve("model.gguf");
        GgufWriter.write(file, metadata, List.of(tensor("first", 3, 5), tensor("second", 32), tensor("last", 1)));
        bytes = Files.readAllBytes(file);
    }

    private static GgufTensor tensor(String name, long... shape) {
        List<Long> dimensions = Arrays.stream(shape).boxed().toList();
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < values.length; i++) {
            values[i] = name.length() + i;
        }
        return new GgufTensor(
                name,
                GgufType.F32,
                dimensions,
                sink -> sink.write(Arena.ofAuto().allocateFrom(ValueLayout.JAVA_FLOAT, values)));
    }

    @Test
    void whatIsWrittenIsRead() {
        try (GgufFile read = GgufFile.open(file)) {
            assertEquals(
                    List.copyOf(metadata.entrySet()),
                    List.copyOf(read.metadata().entrySet()));
            assertEquals(
                    List.of("first", "second", "last"),
                    List.copyOf(read.tensors().keySet()));
            assertEquals(List.of(3L, 5L), read.tensors().get("first").shape());
            assertEquals(5 + 14, read.bytes("first").getFloat(14 * 4));
            assertEquals(6 + 31, read.bytes("second").getFloat(31 * 4));
            assertEquals(0, bytes.length % 32);
        }
    }

    @Test
    void theChecksumIsOfTheBytesOnTheDisk() throws IOException {
        long written = GgufWriter.write(file, metadata, List.of(tensor("first", 3, 5), tensor("second", 32)));
        try (GgufFile read = GgufFile.open(file)) {
            assertEquals(written, read.checksum());
        }
        byte[] damaged = Files.readAllBytes(file);
        damaged[damaged.length - 40] ^= 1;
        Files.write(file, damaged);
        try (GgufFile read = GgufFile.open(file)) {
            assertNotEquals(written, read.checksum());
        }
    }

    @Test
    void everyFileCutShortIsATypedError() throws IOException {
        for (int length = 0; length < bytes.length; length++) {
            Files.write(file, Arrays.copyOf(bytes, length));
            int cut = length;
            assertThrows(InputException.class, () -> GgufFile.open(file), () -> "cut at " + cut);
        }
        Files.write(file, Arrays.copyOf(bytes, bytes.length + 1));
        refused("its tensors end at");
    }

    @Test
    void anyByteThatIsAnotherIsReadOrATypedError() throws IOException {
        changed(500);
    }

    @Test
    @Tag("slow")
    void anyByteOfThreeThousandThatIsAnotherIsReadOrATypedError() throws IOException {
        changed(3000);
    }

    private void changed(int times) throws IOException {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(7);
        int refusals = 0;
        for (int i = 0; i < times; i++) {
            byte[] mutated = bytes.clone();
            int at = random.nextInt(bytes.length - 300);
            mutated[at] = (byte) random.nextInt(256);
            Files.write(file, mutated);
            try (GgufFile _ = GgufFile.open(file)) {
                // another value, no damage that can be seen
            } catch (InputException e) {
                refusals++;
            }
        }
        assertTrue(refusals > times / 6, "refused " + refusals);
    }

    @ParameterizedTest
    @CsvSource({
        "0, 1, does not start with GGUF",
        "4, 2, has version 2",
        "8, 0x7fffffffffffffff, tensors",
        "8, 0xffffffffffffffff, tensors",
        "16, 0x7fffffffffffffff, values",
        "24, 0x7fffffffffffffff, bytes of a text",
        "24, 0x00000000ffffffff, bytes of a text",
    })
    void countsThatTheFileCannotHoldAreRefusedBeforeAnythingIsAllocated(int at, String value, String message)
            throws IOException {
        long number = value.startsWith("0x") ? Long.parseUnsignedLong(value.substring(2), 16) : Long.parseLong(value);
        ByteBuffer damaged = ByteBuffer.wrap(bytes.clone()).order(ByteOrder.LITTLE_ENDIAN);
        if (at < 8) {
            damaged.putInt(at, (int) number);
        } else {
            damaged.putLong(at, number);
        }
        Files.write(file, damaged.array());
        refused(message);
    }

    @Test
    void aValueOfAnUnknownTypeIsRefused() throws IOException {
        ByteBuffer damaged = ByteBuffer.wrap(bytes.clone()).order(ByteOrder.LITTLE_ENDIAN);
        damaged.putInt(FIRST_KEY + 8 + "general.architecture".length(), 13);
        Files.write(file, damaged.array());
        refused("a value of type 13");
    }

    @Test
    void aKeyOrTensorThatIsThereTwiceIsRefused() throws IOException {
        byte[] damaged = bytes.clone();
        int at = new String(damaged, StandardCharsets.ISO_8859_1).indexOf("a.real");
        System.arraycopy("a.flag".getBytes(StandardCharsets.US_ASCII), 0, damaged, at, 6);
        Files.write(file, damaged);
        refused("'a.flag' twice");
        GgufWriter.write(file, metadata, List.of(tensor("x", 8), tensor("x", 8)));
        refused("'x' twice");
    }

    @Test
    void roundingIsToNearest() throws IOException {
        float[] values = new float[32];
        values[0] = 127f; // scale 1
        values[1] = 0.5f;
        values[2] = -0.5f;
        values[3] = 0.49999997f;
        values[4] = -3.7f;
        byte[] block = blocks(values, GgufType.Q8_0);
        assertEquals(34, block.length);
        assertEquals(1f, Float.float16ToFloat((short) (block[0] & 0xff | block[1] << 8)));
        assertEquals(
                List.of(127, 1, -1, 0, -4, 0),
                List.of((int) block[2], (int) block[3], (int) block[4], (int) block[5], (int) block[6], (int)
                        block[7]));
        assertEquals(0, blocks(new float[32], GgufType.Q8_0)[2]); // a block of zeros has no scale
        byte[] bf16 = blocks(new float[] {1.00390625f}, GgufType.BF16); // half way between two, to the even one
        assertEquals(0x3f80, bf16[0] & 0xff | (bf16[1] & 0xff) << 8);
    }

    @Test
    void weightsThatCannotBeWrittenAreRefused() {
        assertTrue(assertThrows(InputException.class, () -> blocks(new float[] {65520f}, GgufType.F16))
                .getMessage()
                .contains("--type bf16"));
        assertThrows(InputException.class, () -> blocks(new float[] {Float.NaN}, GgufType.F32));
        float[] infinite = new float[32];
        infinite[31] = Float.NEGATIVE_INFINITY;
        assertThrows(InputException.class, () -> blocks(infinite, GgufType.Q8_0));
    }

    private static byte[] blocks(float[] values, GgufType type) throws IOException {
        byte[] out = new byte[(int) type.bytes(values.length)];
        GgufBlocks.write(
                "w",
                MemorySegment.ofArray(values),
                Dtype.F32,
                1,
                values.length,
                row -> row,
                type,
                part -> MemorySegment.copy(part, 0, MemorySegment.ofArray(out), 0, part.byteSize()));
        return out;
    }

    private void refused(String message) {
        InputException e = assertThrows(InputException.class, () -> GgufFile.open(file));
        assertTrue(e.getMessage().contains(message), e::getMessage);
    }
}
