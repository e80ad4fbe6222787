package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hardwood.internal.thrift.PageHeaderReader;
import dev.hardwood.internal.thrift.ThriftCompactReader;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;

/// Files of rows made to do harm: by what they unpack to, by what they become while they are read, by what they hold.
class HostileRowsTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden/rows");

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"lz4", "brotli"})
    void parquetOfAnotherCodecIsNamedWithWhatToDo(String codec) {
        InputException e =
                assertThrows(InputException.class, () -> read(GOLDEN.resolve("alpaca-" + codec + ".parquet")));
        assertTrue(
                e.getMessage().contains("is compressed with " + codec.toUpperCase(java.util.Locale.ROOT)),
                e.getMessage());
        assertTrue(e.getMessage().contains("compression='zstd'"), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '~',
            quoteCharacter = '`',
            value = {
                "[{\"a\":1]~Unexpected close marker ']': expected '}'\n",
                "[{\"a\":[1}]~Unexpected close marker '}': expected ']'\n",
                "[{\"a\":DEEP}]~Document nesting depth (",
            })
    void brokenJsonIsToldInWordsAndNotInTheParsersOwn(String json, String says) throws IOException {
        Path file = Files.writeString(folder.resolve("rows.json"), json.replace("DEEP", "[".repeat(1500)));
        InputException e = assertThrows(InputException.class, () -> read(file));
        assertTrue((e.getMessage() + "\n").contains(says), e.getMessage());
        for (String own : new String[] {"Source", "REDACTED", "Stream", "byte offset", "`"}) {
            assertTrue(!e.getMessage().contains(own), e.getMessage());
        }
    }

    /// 2 MB that unpack to 2 GB: a row is given up once it is longer than any may be.
    @Test
    void aRowWithoutEndInAGzipIsGivenUpAndNotUnpacked() throws IOException {
        Path bomb = folder.resolve("bomb.jsonl.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(bomb))) {
            out.write("{\"text\":\"".getBytes(StandardCharsets.UTF_8));
            byte[] piece = new byte[1 << 20];
            Arrays.fill(piece, (byte) 'a');
            for (int i = 0; i < 400; i++) {
                out.write(piece);
            }
        }
        InputException e =
                assertTimeout(Duration.ofSeconds(30), () -> assertThrows(InputException.class, () -> read(bomb)));
        assertTrue(e.getMessage().contains("row 1 has more than " + TextLines.LONGEST + " bytes"), e.getMessage());
    }

    /// Bytes or kilobytes that ask for 200 MB, for 20 million values at once, and for 10 million rows.
    @ParameterizedTest
    @CsvSource({
        "page, bytes and 1 values is more than there is reason for",
        "values, and 20000000 values is more than there is reason for",
        "rows, its rows are far larger than the file",
    })
    void aParquetBombIsRefused(String name, String says) {
        Path bomb = GOLDEN.resolve("bomb-" + name + ".parquet");
        InputException e =
                assertTimeout(Duration.ofSeconds(60), () -> assertThrows(InputException.class, () -> read(bomb)));
        assertTrue(e.getMessage().contains(says), e.getMessage());
    }

    /// The library would write beyond its buffer.
    @Test
    void aSnappyPageThatUnpacksToMoreThanItSaysIsRefused() throws IOException {
        byte[] bytes = Files.readAllBytes(GOLDEN.resolve("alpaca-snappy.parquet"));
        ThriftCompactReader first = new ThriftCompactReader(ByteBuffer.wrap(bytes), 4); // behind PAR1
        int size = PageHeaderReader.read(first).uncompressedPageSize();
        int at = 4 + first.getBytesRead();
        assertEquals(size & 0x7F | (size > 0x7F ? 0x80 : 0), bytes[at] & 0xFF, "no page begins there");
        bytes[at] ^= 0x04;
        Path file = Files.write(folder.resolve("rows.parquet"), bytes);
        InputException e = assertThrows(InputException.class, () -> read(file));
        assertTrue(e.getMessage().contains("a page of " + size + " bytes unpacks to " + (size ^ 4)), e.getMessage());
    }

    @Test
    void anArrayWithARowWithoutEndIsGivenUp() throws IOException {
        Path file = folder.resolve("rows.json");
        Files.writeString(file, "[{\"text\":\"" + "a".repeat(TextLines.LONGEST + 1) + "\"}]");
        InputException e = assertThrows(InputException.class, () -> read(file));
        assertTrue(e.getMessage().contains("row 1"), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"rows.jsonl", "rows.json", "rows.csv"})
    void aFileThatShrinksWhileItIsReadIsAnError(String name) throws IOException {
        Path file = folder.resolve(name);
        String row = "{\"instruction\":\"a\",\"output\":\"" + "b".repeat(200_000) + "\"}";
        Files.writeString(
                file,
                switch (name) {
                    case "rows.json" -> "[" + row + "," + row + "," + row + "]";
                    case "rows.csv" -> "a,b\n1,2\n\"" + "x".repeat(400_000) + "\",2\n";
                    default -> row + "\n" + row + "\n" + row;
                });
        InputException e = assertThrows(InputException.class, () -> {
            try (Rows rows = Rows.open(file)) {
                rows.next();
                try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
                    cut.setLength(300_000);
                }
                rows.forEachRemaining(_ -> {});
            }
        });
        assertTrue(e.getMessage().contains(name), e.getMessage());
    }

    private static int read(Path file) {
        int count = 0;
        try (Rows rows = Rows.open(file)) {
            while (rows.hasNext()) {
                rows.next();
                count++;
            }
        }
        return count;
    }
}
