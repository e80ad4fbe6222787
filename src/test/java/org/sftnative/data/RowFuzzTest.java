package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sftnative.InputException;
import org.sftnative.config.FormatChoice;
import org.sftnative.config.RowSettings;

/// Damaged files of every kind give rows or an [InputException], and end.
class RowFuzzTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden/rows");
    private static final Duration A_KIND = Duration.ofMillis(1000);
    private static final Duration A_FILE = Duration.ofSeconds(20);

    enum Kind {
        ARRAY("rows.json"),
        LINES("rows.jsonl"),
        PACKED_LINES("rows.jsonl.gz"),
        CSV("rows.csv"),
        PARQUET("alpaca-none.parquet"),
        SNAPPY_PARQUET("chat-snappy.parquet"),
        ZSTD_PARQUET("chat-zstd.parquet"),
        NESTED_PARQUET("history.parquet");

        private final String file;

        Kind(String file) {
            this.file = file;
        }

        byte[] bytes() throws IOException {
            String chat = "{\"messages\":[{\"role\":\"user\",\"content\":\"天\\n\\ud83d\\ude42\",\"weight\":0},"
                    + "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"tool_calls\":[{\"a\":null}]}],"
                    + "\"tools\":\"[{}]\",\"system\":\"s\"}";
            String share = "{\"conversations\":[{\"from\":\"human\",\"value\":\"x\"},{\"from\":\"function_call\","
                    + "\"value\":\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":{}}\"}]}";
            String alpaca = "{\"instruction\":\"a\",\"input\":null,\"output\":\"b\",\"history\":[[\"c\",\"d\"]]}";
            return switch (this) {
                case ARRAY -> ("[" + chat + ",\n" + chat + "]").getBytes(StandardCharsets.UTF_8);
                case LINES -> (share + "\n" + share + "\r\n" + alpaca + "\n").getBytes(StandardCharsets.UTF_8);
                case PACKED_LINES -> {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    try (OutputStream out = new GZIPOutputStream(bytes)) {
                        out.write((alpaca + "\n" + alpaca + "\n").getBytes(StandardCharsets.UTF_8));
                    }
                    yield bytes.toByteArray();
                }
                case CSV -> "instruction,input,output\n\"a\nb\",\"\"\"\",天\r\nc,,d\n".getBytes(StandardCharsets.UTF_8);
                default -> Files.readAllBytes(GOLDEN.resolve(file));
            };
        }
    }

    @TempDir
    Path directory;

    @ParameterizedTest
    @EnumSource(Kind.class)
    void damagedFilesGiveRowsOrATypedError(Kind kind) throws IOException {
        byte[] whole = kind.bytes();
        Random random = new Random(17 + kind.ordinal());
        long end = System.nanoTime() + A_KIND.toNanos();
        int refused = 0;
        int tried = 0;
        while (System.nanoTime() < end) {
            byte[] damaged = damaged(whole, random);
            // a file of its own each time: the Parquet reader's threads may still have the last one mapped, and a
            // mapped file that is cut short kills the process
            Path folder = Files.createDirectory(directory.resolve(kind + "-" + tried));
            Path file = Files.write(folder.resolve(kind.file), damaged);
            RowSettings settings = new RowSettings(
                    FormatChoice.values()[random.nextInt(FormatChoice.values().length)], List.of(), random.nextInt(3));
            refused += assertTimeoutPreemptively(A_FILE, () -> isRefused(file, settings)) ? 1 : 0;
            tried++;
            Files.delete(file);
        }
        assertTrue(tried > 20 && refused > tried / 5, "of " + tried + " damaged files " + refused + " were refused");
    }

    private static boolean isRefused(Path file, RowSettings settings) {
        try (ExampleSource source = ExampleSource.open(file, settings)) {
            source.forEachRemaining(item -> {});
            return false;
        } catch (InputException e) {
            assertTrue(e.getMessage().contains(file.getFileName().toString()), e::getMessage);
            return true;
        } catch (RuntimeException | Error e) {
            throw new AssertionError("not an InputException, by the file kept as " + kept(file), e);
        }
    }

    private static Path kept(Path file) {
        try {
            return Files.write(Path.of("target", "fuzz-" + file.getFileName()), Files.readAllBytes(file));
        } catch (IOException e) {
            return file;
        }
    }

    /// A few bytes changed, a piece cut out, doubled or moved, the end cut off.
    private static byte[] damaged(byte[] whole, Random random) {
        byte[] bytes = whole.clone();
        for (int change = 1 + random.nextInt(4); change > 0; change--) {
            int at = random.nextInt(bytes.length);
            int length = 1 + random.nextInt(Math.min(16, bytes.length - at));
            switch (random.nextInt(6)) {
                case 0 -> bytes[at] = (byte) random.nextInt(256);
                case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 2 -> bytes[at] = (byte) "\"[]{},:\\\n\0".charAt(random.nextInt(10));
                case 3 -> bytes = joined(bytes, at, at + length); // cut out
                case 4 -> bytes = joined(bytes, at + length, at); // doubled
                default -> bytes = Arrays.copyOf(bytes, Math.max(1, bytes.length - length));
            }
        }
        return bytes;
    }

    private static byte[] joined(byte[] bytes, int to, int from) {
        byte[] joined = Arrays.copyOf(bytes, Math.max(1, to + bytes.length - from));
        System.arraycopy(bytes, from, joined, to, Math.min(bytes.length - from, joined.length - to));
        return joined;
    }
}
