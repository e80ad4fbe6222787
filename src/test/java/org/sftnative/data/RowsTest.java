package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.data.Fixtures.refused;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RowsTest {
    @TempDir
    Path directory;

    @Test
    void arraysAndLinesGiveTheSameRows() throws IOException {
        List<String> expected = List.of("1 {\"a\":\"x\"}", "2 {\"a\":\"天🙂\"}");
        for (String text : List.of(
                "[{\"a\":\"x\"},{\"a\":\"天🙂\"}]",
                "\n [\n{\"a\":\r\n\"x\"} ,\n {\"a\":\"天🙂\"}\n]\n\n",
                "{\"a\":\"x\"}\n{\"a\":\"天🙂\"}",
                "{\"a\":\"x\"}\r\n\r\n  {\"a\":\"天🙂\"} \r\n",
                "\uFEFF{\"a\":\"x\"}\n{\"a\":\"天🙂\"}\n",
                "\uFEFF[{\"a\":\"x\"},{\"a\":\"天🙂\"}]")) {
            assertEquals(expected, read(text), text);
        }
        assertEquals(List.of(), read("[]"));
    }

    @Test
    void lineSeparatorsInsideAStringDoNotEndALine() throws IOException {
        assertEquals(List.of("1 {\"a\":\"x\u2028y\u0085z\"}"), read("{\"a\":\"x\u2028y\u0085z\"}\n"));
    }

    @Test
    void moreRowsThanABufferHoldsArriveInOrder() throws IOException {
        StringBuilder lines = new StringBuilder();
        for (int i = 1; i <= 5000; i++) {
            lines.append("{\"a\":\"").append("天".repeat(i % 50)).append(i).append("\"}\n");
        }
        List<String> rows = read(lines.toString());
        assertEquals(5000, rows.size());
        assertEquals("4999 {\"a\":\"" + "天".repeat(49) + "4999\"}", rows.get(4998));
    }

    @Test
    void filesThatAreNotRowsAreRefused() throws IOException {
        refused(() -> Rows.open(directory.resolve("none.json")), "none.json", "no such file");
        refused(() -> Rows.open(directory), directory.toString(), "is a directory");
        broken("", "is empty");
        broken(" \r\n\t\n", "is empty");
        broken("\uFEFF", "is empty");
        broken("instruction,output\n", "not JSON", "'i'");
        broken("\"text\"", "not JSON");
        broken("PK\u0003\u0004", "not JSON", "'P'");
    }

    @Test
    void brokenArraysNameTheRowAndLine() throws IOException {
        broken("[{\"a\":\"x\"},\n{\"a\":\"y", "cut off", "row 2");
        broken("[{\"a\":\"x\"}", "cut off", "row 2");
        broken("[{\"a\":\"x\"},", "cut off", "row 2");
        broken("[{\"a\":\"x\"},\n\n{\"a\":'y'}]", "row 2", "line 3");
        broken("\n\n[{\"a\":\"x\"},\n{\"a\" \"y\"}]", "row 2", "line 4");
        broken("[{\"a\":\"x\"},{\"a\":1,\"a\":2}]", "row 2", "Duplicate");
        broken("[{\"a\":\"x\"},7]", "row 2", "a number", "must be an object");
        broken("[null]", "row 1", "null");
        broken("[{\"a\":\"x\"}]\n[]", "goes on after the end", "line 2");
        broken("[{\"a\":\"x\"}] x", "row 2", "line 1");
        broken("[{\"a\":\"x\ny\"}]", "row 1", "line");
        broken("[{\"a\":NaN}]", "row 1");
        broken("[{\"a\":" + "[".repeat(3000) + "]}]", "row 1", "depth");
    }

    @Test
    void brokenLinesNameTheLine() throws IOException {
        broken("{\"a\":\"x\"}\n\n{\"a\":\"y\n", "row 2", "line 3");
        broken("{\"a\":\"x\"}\n[1]\n", "row 2", "an array");
        broken("{\"a\":\"x\"}\n\"b\"", "row 2", "a string");
        broken("{\"a\":\"x\"} {\"a\":\"y\"}\n", "row 1", "line 1");
        broken("{\n\"a\":\"x\"\n}", "row 1", "line 1");
        broken("{\"a\":\"x\"}\n{\"a\":" + "[".repeat(3000) + "\n", "row 2", "depth");
    }

    @Test
    void badUtf8NamesTheLine() throws IOException {
        for (String text : List.of("{\"a\":\"x\"}\n{\"a\":\"?\"}\n", "[{\"a\":\"x\"},\n{\"a\":\"?\"}]")) {
            for (byte[] bad : List.of(
                    new byte[] {(byte) 0xff},
                    new byte[] {(byte) 0xc0, (byte) 0x80}, // overlong
                    new byte[] {(byte) 0xed, (byte) 0xa0, (byte) 0x80}, // a surrogate
                    new byte[] {(byte) 0xe5, (byte) 0xa4})) { // half a character
                int at = text.indexOf('?');
                var bytes = new java.io.ByteArrayOutputStream();
                bytes.write(text.substring(0, at).getBytes(StandardCharsets.UTF_8));
                bytes.write(bad);
                bytes.write(text.substring(at + 1).getBytes(StandardCharsets.UTF_8));
                Path file = directory.resolve("rows.json");
                Files.write(file, bytes.toByteArray());
                refused(() -> count(file), "rows.json", "not UTF-8", "line 2");
            }
        }
    }

    @Test
    void alpacaRowsLackingAFieldNameTheirKeys() {
        refused(
                () -> alpaca("{\"instruction\":\"a\",\"response\":\"b\"}"),
                "rows.json, row 17: 'output' is missing (keys: instruction, response)",
                "\n  each row needs");
        refused(() -> alpaca("{\"instruction\":null,\"output\":\"b\"}"), "'instruction' is null");
        refused(() -> alpaca("{\"instruction\":\"a\",\"output\":[\"b\"]}"), "'output' is an array, must be a string");
        refused(() -> alpaca("{\"instruction\":\"a\",\"input\":3,\"output\":\"b\"}"), "'input' is a number");
        refused(() -> alpaca("{\"instruction\":\"a\",\"output\":\"\\ud83d!\"}"), "row 17", "surrogate");
    }

    @Test
    void theInputSectionStaysWhenEmpty() {
        String empty = "### Instruction:\n{input}\n\n### Input:\n\n\n### Response:\n";
        assertEquals(new Example.Completion(empty, "b"), alpaca("{\"instruction\":\"{input}\",\"output\":\"b\"}"));
        assertEquals(
                new Example.Completion(empty, "b"),
                alpaca("{\"instruction\":\"{input}\",\"input\":null,\"output\":\"b\"}"));
        assertEquals(
                new Example.Completion("### Instruction:\na\n\n### Input:\nc\n\n### Response:\n", ""),
                alpaca("{\"instruction\":\"a\",\"input\":\"c\",\"output\":\"\"}"));
    }

    private static Example alpaca(String json) {
        var fields = (tools.jackson.databind.node.ObjectNode) Json.STRICT.readTree(json);
        return new RowFormat.Alpaca().example(new Row(Path.of("rows.json"), 17, fields));
    }

    private List<String> read(String text) throws IOException {
        Path file = directory.resolve("rows.json");
        Files.writeString(file, text);
        List<String> rows = new ArrayList<>();
        try (Rows all = Rows.open(file)) {
            all.forEachRemaining(row -> rows.add(row.number() + " " + row.fields()));
        }
        return rows;
    }

    private void broken(String text, String... parts) throws IOException {
        Path file = directory.resolve("rows.json");
        Files.writeString(file, text);
        refused(() -> count(file), parts);
        refused(() -> count(file), "rows.json");
    }

    private static void count(Path file) {
        try (Rows rows = Rows.open(file)) {
            rows.forEachRemaining(row -> {});
        }
    }
}
