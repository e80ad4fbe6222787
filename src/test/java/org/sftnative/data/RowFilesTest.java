package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.refused;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.FormatChoice;
import org.sftnative.config.RowSettings;
import tools.jackson.databind.JsonNode;

/// Which files `train_file` means, and the kinds of files beside plain JSON.
class RowFilesTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden/rows");

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "alpaca-none.parquet",
                "alpaca-snappy.parquet",
                "alpaca-zstd.parquet",
                "alpaca-gzip.parquet",
                "chat-none.parquet",
                "chat-snappy.parquet",
                "chat-zstd.parquet",
                "chat-gzip.parquet",
                "history.parquet",
                "other.parquet"
            })
    void parquetGivesTheRowsThatPyarrowWrote(String name) {
        JsonNode expected =
                Json.object(GOLDEN.resolve("rows.json")).path("rows").path(name);
        List<Row> rows = rows(GOLDEN.resolve(name));
        assertEquals(30, expected.size());
        assertEquals(30, rows.size());
        for (int i = 0; i < rows.size(); i++) {
            assertEquals(i + 1, rows.get(i).number());
            JsonNode fields = rows.get(i).fields();
            // as text, since 1 of 32 bits is not 1 of 64; other.parquet has columns that no format reads
            assertEquals(
                    expected.get(i).toString(),
                    name.equals("other.parquet")
                            ? rows.get(i).fields().retain("text").toString()
                            : fields.toString());
        }
    }

    @Test
    void nestedParquetRowsBecomeConversations() {
        List<Example> examples = examples(GOLDEN.resolve("chat-zstd.parquet"), RowSettings.DEFAULT);
        Example.Conversation first = (Example.Conversation) examples.getFirst();
        assertEquals(
                List.of("system", "user", "assistant"),
                first.messages().stream().map(m -> m.path("role").stringValue()).toList());
        assertEquals("[{\"name\":\"look_up\"}]", first.tools().orElseThrow().toString());
        assertEquals(0, first.messages().get(2).path("weight").intValue());
        Example.Conversation second = (Example.Conversation) examples.get(1);
        assertTrue(second.tools().isEmpty() && !second.messages().getLast().has("weight"));
        assertEquals(
                30,
                examples(GOLDEN.resolve("history.parquet"), RowSettings.DEFAULT).size());
    }

    @Test
    void everyKindIsReadAlsoGzipped() throws IOException {
        String lines = "{\"text\":\"x\"}\n{\"text\":\"天, \\\"🙂\\\"\"}\n";
        String csv = "\uFEFFtext\r\nx\r\n\"天, \"\"🙂\"\"\"\r\n";
        List<Example> expected = List.of(new Example.PlainText("x"), new Example.PlainText("天, \"🙂\""));
        for (boolean packed : List.of(false, true)) {
            // the content says that it is gzipped, not the name
            assertEquals(expected, examples(write("rows", bytes(lines, packed)), RowSettings.DEFAULT));
            assertEquals(
                    expected,
                    examples(
                            write("rows.txt", bytes("[" + lines.strip().replace("\n", ",") + "]", packed)),
                            RowSettings.DEFAULT));
            assertEquals(expected, examples(write("rows.csv", bytes(csv, packed)), RowSettings.DEFAULT));
            assertEquals(expected, examples(write("rows.CSV.gz", bytes(csv, packed)), RowSettings.DEFAULT));
        }
    }

    @Test
    void aCutOrBrokenGzipFileIsRefused() throws IOException {
        byte[] whole = bytes("{\"text\":\"x\"}\n".repeat(1000), true);
        Path cut = write("rows.jsonl", Arrays.copyOf(whole, whole.length - 9));
        refused(() -> examples(cut, RowSettings.DEFAULT), "rows.jsonl", "cannot read");
        byte[] flipped = whole.clone();
        flipped[whole.length / 2] ^= 4;
        Path broken = write("rows.jsonl", flipped);
        refused(() -> examples(broken, RowSettings.DEFAULT), "rows.jsonl");
    }

    @Test
    void csvCellsKeepWhatIsQuoted() throws IOException {
        Path file = write(
                "rows.csv",
                "instruction,input,output\n\"two\nlines, \"\"and\"\" a comma\",,\"\r\n\"\n\na \"b\",c,\n"
                        .getBytes(StandardCharsets.UTF_8));
        List<Row> rows = rows(file);
        assertEquals(
                List.of(
                        "{\"instruction\":\"two\\nlines, \\\"and\\\" a comma\",\"input\":\"\",\"output\":\"\\r\\n\"}",
                        "{\"instruction\":\"a \\\"b\\\"\",\"input\":\"c\",\"output\":\"\"}"),
                rows.stream().map(row -> row.fields().toString()).toList());
    }

    @Test
    void brokenCsvNamesTheLineAndReadingGoesOn() throws IOException {
        String csv = "text,output\n1,a\n\"2\nb\",a,c\n3\n4,\"a\" b\n5,\0\n6,\"?\nx\"\n7,a\n\"8,a\n";
        byte[] bytes = csv.getBytes(StandardCharsets.UTF_8);
        bytes[csv.indexOf('?')] = (byte) 0xFF;
        Path file = write("rows.csv", bytes);
        BadRows bad = new BadRows(6);
        List<String> good = new ArrayList<>();
        try (ExampleSource source = ExampleSource.open(file, settings(FormatChoice.TEXT, 6), Optional.empty(), bad)) {
            source.forEachRemaining(item -> good.add(item.row() + " " + item.example()));
        }
        assertEquals(List.of("1 PlainText[text=1]", "7 PlainText[text=7]"), good);
        List<String> expected = List.of(
                "row 2 (line 3): 3 cells, the first line names 2",
                "row 3 (line 5): 1 cells",
                "row 4 (line 6): text after the closing quote",
                "row 5 (line 7): a NUL byte in line 7",
                "row 6 (line 8): not UTF-8 text in line 8",
                "row 8 (line 11): the file ends inside a quoted cell");
        for (int i = 0; i < expected.size(); i++) {
            String message = bad.messages().get(i);
            assertTrue(message.startsWith(file + ", " + expected.get(i)), message);
        }
        refused(() -> examples(file, settings(FormatChoice.TEXT, 5)), "row 8", "5 broken rows were skipped");
        refused(() -> examples(file, settings(FormatChoice.TEXT, 0)), "row 2 (line 3)");
    }

    @Test
    void csvWithoutProperNamesIsRefused() throws IOException {
        refused(() -> csv(""), "empty");
        refused(() -> csv("\n\n"), "empty");
        refused(() -> csv("text,text\n"), "line 1", "two columns are named 'text'");
        refused(() -> csv("\ntext,,x\n"), "line 2", "a column has no name");
        refused(() -> csv("\"text\n"), "line 1", "inside a quoted cell");
    }

    @Test
    void brokenParquetIsRefused() throws IOException {
        byte[] whole = Files.readAllBytes(GOLDEN.resolve("chat-zstd.parquet"));
        for (int length : List.of(4, 8, 12, 100, whole.length / 2, whole.length - 1)) {
            Path file = write("rows.parquet", Arrays.copyOf(whole, length));
            refused(() -> examples(file, RowSettings.DEFAULT), "rows.parquet", "not a Parquet file that can be read");
        }
    }

    @Test
    void directoriesAndGlobsStandForTheirFilesByName() throws IOException {
        for (String name : List.of("b.jsonl", "a.json", "c.csv.gz", "d.parquet", ".e.json", "README.md", "f.ndjson")) {
            write(name, new byte[0]);
        }
        Path inner = Files.createDirectory(directory.resolve("inner"));
        Files.write(inner.resolve("g.json"), new byte[0]);
        assertEquals(List.of("a.json", "b.jsonl", "c.csv.gz", "d.parquet", "f.ndjson"), resolved(directory.toString()));
        assertEquals(List.of("b.jsonl", "a.json"), resolved(directory + "/b*", directory + "/a.json"));
        assertEquals(List.of("a.json", "b.jsonl"), resolved(directory + "/[ab].json*"));
        assertEquals(List.of("g.json"), resolved(directory + "/*/*.json"));
        assertEquals(List.of("g.json"), resolved(directory + "/**/*.json"));
        assertEquals(List.of("none.json"), resolved(directory + "/none.json")); // whoever opens it says so
        write("x[1].json", new byte[0]);
        assertEquals(List.of("x[1].json"), resolved(directory + "/x[1].json"));
        refused(() -> resolved(directory + "/*.tsv"), "*.tsv matches no file");
        refused(() -> resolved(directory + "/no/*.json"), "matches no file");
        refused(() -> resolved(directory + "/{a"), "no glob");
        refused(() -> resolved(directory + "/a.json", directory + "/*.json"), "a.json is given twice");
        Path empty = Files.createDirectory(directory.resolve("empty"));
        refused(() -> resolved(empty.toString()), "directory without row files", ".parquet");
    }

    private static List<String> resolved(String... given) {
        return RowFiles.resolve(Arrays.stream(given).map(Path::of).toList()).stream()
                .map(path -> path.getFileName().toString())
                .toList();
    }

    private void csv(String text) {
        try {
            rows(write("rows.csv", text.getBytes(StandardCharsets.UTF_8)));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private Path write(String name, byte[] bytes) throws IOException {
        return Files.write(directory.resolve(name), bytes);
    }

    private static byte[] bytes(String text, boolean packed) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputStream out = packed ? new GZIPOutputStream(bytes) : bytes) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
        return bytes.toByteArray();
    }

    private static RowSettings settings(FormatChoice format, int maxBad) {
        return new RowSettings(format, List.of(), maxBad);
    }

    private static List<Row> rows(Path file) {
        List<Row> rows = new ArrayList<>();
        try (Rows all = Rows.open(file)) {
            all.forEachRemaining(rows::add);
        }
        return rows;
    }

    private static List<Example> examples(Path file, RowSettings settings) {
        List<Example> examples = new ArrayList<>();
        try (ExampleSource source = ExampleSource.open(file, settings)) {
            source.forEachRemaining(item -> examples.add(item.example()));
        }
        return examples;
    }
}
