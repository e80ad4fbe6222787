package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;

/// `sft-native data` as someone sees it who does not know the program.
class DataCommandTest {
    private static final String MODEL = "models/tokenizer";
    private static final String GOOD = row("say hello", "hello there");

    @TempDir
    Path dir;

    private static String row(String instruction, String output) {
        return "{\"instruction\":\"" + instruction + "\",\"output\":\"" + output + "\"}";
    }

    private Path write(String name, String... lines) throws IOException {
        return Files.write(dir.resolve(name), List.of(lines));
    }

    private static Outcome data(Object... args) {
        List<String> all = new ArrayList<>(List.of("data", "--model", MODEL));
        Arrays.stream(args).map(Object::toString).forEach(all::add);
        return Program.run(all.toArray(String[]::new));
    }

    @Test
    void theReportFitsATerminalAndSaysWhatThereIs() {
        Outcome outcome = data("data/quickstart.jsonl", "--max-length", "64").succeeded();
        String out = outcome.out();
        assertEquals("", outcome.err());
        assertFalse(out.contains("\u001b"), "no colours where no terminal is");
        out.lines().forEach(line -> assertTrue(Visible.width(line) <= 80, line));
        for (String part : List.of(
                "data/quickstart.jsonl             train     alpaca         301       301      0\n",
                "301 rows for training, 2 longer than 64 tokens, 0 dropped",
                "2 rows without a trained end-of-sequence token",
                "50% 38",
                "max 64,",
                "epoch       301 documents, ",
                "19 steps of 16",
                "sequences of up to 64 tokens, ")) {
            assertTrue(out.contains(part), () -> part + " is not in\n" + outcome.out());
        }
        int counted = Pattern.compile("(?m)^ *\\d+- *\\d+ .* (\\d+)$")
                .matcher(out)
                .results()
                .mapToInt(bin -> Integer.parseInt(bin.group(1)))
                .sum();
        assertEquals(301, counted, "documents of all bins");
    }

    @Test
    void trainedTokensStandInBracketsAndOthersDoNot() throws IOException {
        String out =
                data(write("rows.jsonl", row("say\\thello", "hello\\nthere"))).out();
        String sample = out.substring(out.indexOf(", row 1\n") + 8);
        String trained = Pattern.compile("\\[([^\\]]*)\\]\n?")
                .matcher(sample)
                .results()
                .map(token -> token.group(1))
                .reduce("", String::concat);
        assertEquals("hello↵there</s>", trained);
        String given = sample.substring(0, sample.indexOf('[')).replace("|", "").replace("\n", "");
        assertEquals("<s>### Instruction:↵say⇥hello↵↵### Input:↵↵↵### Response:↵", given);
    }

    @Test
    void aTerminalGetsColoursUnlessToldOtherwise() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        PrintStream print = new PrintStream(out, true, StandardCharsets.UTF_8);
        boolean coloured = System.getenv().getOrDefault("NO_COLOR", "").isEmpty();
        int status = new CommandLineProgram(new Rooms(), print, print, true)
                .run("data", "--model", MODEL, write("rows.jsonl", GOOD).toString());
        assertEquals(0, status);
        assertEquals(coloured, out.toString(StandardCharsets.UTF_8).contains("\u001b[30;42m"));
        assertTrue(DataText.colours(true, Map.of()));
        assertTrue(DataText.colours(true, Map.of("NO_COLOR", "")));
        assertFalse(DataText.colours(true, Map.of("NO_COLOR", "1")));
        assertFalse(DataText.colours(false, Map.of()));
    }

    @Test
    void whatWouldMoveTheCursorIsShownAndNotDone() throws IOException {
        Path rows = write("rows.jsonl", row("say", "a\\u001b[2Jb\\u202Ec\\rd\\u0007"));
        String out = data(rows).succeeded().out();
        for (char control : "\u001b\u202e\r\u0007".toCharArray()) {
            assertEquals(-1, out.indexOf(control));
        }
        String plain = out.replaceAll("[\\[\\]]", "");
        assertTrue(plain.contains("a␛2Jb\\u{202E}c␍d␇"), plain);
    }

    @Test
    void brokenRowsAreListedInTheReportAndEndAValidation() throws IOException {
        Path rows = write("rows.jsonl", GOOD, "{\"instruction\":\"x\"}", GOOD, "{\"instruction\":\"y\",\"output\":7}");
        String second = rows + ", row 2: 'output' is missing";
        Outcome report = data(rows).succeeded();
        assertTrue(report.out().contains("2 broken\n"), report.out());
        assertTrue(report.out().contains("\nbroken rows\n  " + second), report.out());
        assertTrue(report.out().contains(rows + ", row 4: 'output' is a number"), report.out());

        Outcome first = data(rows, "--validate");
        assertEquals(2, first.status());
        assertEquals("", first.out());
        assertTrue(first.err().startsWith("error: " + second), first.err());

        Outcome skipped = data(rows, "--validate", "--max-bad", "2").succeeded();
        assertTrue(skipped.out().startsWith(second), skipped.out());
        assertTrue(skipped.out().endsWith("\n2 rows are good, 2 broken\n"), skipped.out());

        Outcome more = data(rows, "--validate", "--max-bad", "1");
        assertEquals(2, more.status());
        assertTrue(more.err().startsWith("error: " + rows + ", row 4: 'output' is a number"), more.err());
        assertTrue(more.err().contains("max_bad"), more.err());

        Outcome good = data(write("good.jsonl", GOOD), "--validate").succeeded();
        assertEquals("1 rows are good, 0 broken\n", good.out());
    }

    @Test
    void rowsThatAreAllBrokenAreAnErrorThatSaysWhy() throws IOException {
        Path rows = write("rows.jsonl", "{\"instruction\":\"x\"}");
        Outcome outcome = data(rows, "--format", "alpaca");
        assertEquals(2, outcome.status());
        assertTrue(outcome.err().contains("row 1: 'output' is missing"), outcome.err());
    }

    @Test
    void mixedAndEvaluationRowsAreInTheReport() throws IOException {
        Path rows = Program.rows(dir, 0, 80);
        Path mixed = Program.rows(dir, 100, 130);
        String out = data(rows, "--mix", mixed + "=0.2", "--eval-file", Program.rows(dir, 70, 90), "--packing", "bfd")
                .succeeded()
                .out()
                .replaceAll("\\s+", " ");
        assertTrue(Pattern.compile("mix 0\\.2 +alpaca +30 +30").matcher(out).find(), out);
        assertTrue(out.contains("100 documents, "), out); // an epoch: 80 / (1 - 0.2)
        assertTrue(out.contains("evaluation 20 rows, "), out);
        assertTrue(out.contains("10 of them are trained too"), out);
        assertTrue(out.contains("of 16 sequences of up to 512 tokens"), out);
    }

    @Test
    void thePageEscapesWhatRowsSay() throws IOException {
        String evil = "<script>alert(1)</script> \\\"'& <img src=x onerror=alert(2)>";
        Path rows = write("r<b>.jsonl", row("say " + evil, evil), "{\"<i>\":1}");
        Path page = dir.resolve("page.html");
        Outcome outcome = data(rows, "--html", page).succeeded();
        assertTrue(outcome.out().endsWith("\nthe page is " + page + "\n"), outcome.out());
        String html = Files.readString(page);
        for (String tag : List.of("<script", "<img", "<b>", "<i>")) {
            assertFalse(html.contains(tag), tag);
        }
        String text = html.replaceAll("(?s)<style>.*?</style>", "").replaceAll("<[^>]*>", "");
        assertTrue(text.contains("&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#39;&amp; &lt;img"), text);
        assertFalse(html.contains("http"), "the page needs nothing from elsewhere");
        assertTrue(html.contains("<span class=\"t\" title=\"id 2, trained\">&lt;/s&gt;</span>"), html);
        assertTrue(html.contains("prefers-color-scheme: dark"));
    }

    @Test
    void aPageDoesNotOverwriteRows() throws IOException {
        Path rows = write("rows.jsonl", GOOD);
        Outcome outcome = data("--train-file", rows, "--html", rows);
        assertEquals(2, outcome.status());
        assertTrue(outcome.err().contains("must be a file that ends in .html"), outcome.err());
        assertEquals(List.of(GOOD), Files.readAllLines(rows));
    }

    @Test
    void filesAreNamedOnceAndMustBeThere() {
        assertTrue(data().err().startsWith("error: a setting is missing\n  --train-file: "));
        assertTrue(data("none.jsonl").err().startsWith("error: cannot read none.jsonl: no such file"));
        Outcome twice = data("a.jsonl", "--train-file", "b.jsonl");
        assertEquals(2, twice.status());
        assertTrue(twice.err().startsWith("error: setting 'train_file' is given twice"), twice.err());
    }
}
