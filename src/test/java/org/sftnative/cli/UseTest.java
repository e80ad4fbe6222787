package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `generate` with files, and `eval`.
class UseTest {
    private static final JsonMapper JSON = new JsonMapper();

    @TempDir
    Path dir;

    @Test
    void aFileOfRowsIsAnsweredInItsOrderAsEachRowAlone() throws IOException {
        Path rows = Program.rows(dir, 0, 7);
        List<JsonNode> answers = generate(rows, "--generation-batch-size", "3", "--max-new-tokens", "12");
        assertEquals(7, answers.size());
        for (int i = 0; i < 7; i++) {
            JsonNode row = JSON.readTree(Files.readAllLines(rows).get(i));
            assertEquals(i + 1, answers.get(i).path("row").asInt());
            assertEquals(
                    row.path("output").asString(),
                    answers.get(i).path("expected").asString());
            List<String> args = new ArrayList<>(List.of(
                    "generate", "--model", Program.BASE.toString(), "--threads", "1", "--max-new-tokens", "12"));
            args.addAll(List.of("--instruction", row.path("instruction").asString()));
            if (!row.path("input").asString("").isEmpty()) {
                args.addAll(List.of("--input", row.path("input").asString()));
            }
            Outcome alone = Program.run(args.toArray(String[]::new)).succeeded();
            assertEquals(alone.out(), answers.get(i).path("answer").asString() + "\n");
        }
    }

    @Test
    void rowsNeedNoAnswerInAnyFormat() throws IOException {
        for (String row : List.of(
                "{\"prompt\": \"Say a\"}",
                "{\"instruction\": \"Say a\"}",
                "{\"text\": \"Say a\"}",
                "{\"prompt\": [{\"role\": \"user\", \"content\": \"Say a\"}]}",
                "{\"messages\": [{\"role\": \"user\", \"content\": \"Say a\"}]}",
                "{\"conversations\": [{\"from\": \"human\", \"value\": \"Say a\"}]}")) {
            Path rows = Files.writeString(dir.resolve("rows.jsonl"), row + "\n");
            List<JsonNode> answers = generate(rows, "--max-new-tokens", "3", "--chat-template", "zephyr");
            assertEquals(1, answers.size(), row);
            assertTrue(answers.getFirst().path("prompt").asString().contains("Say a"), row);
            assertTrue(answers.getFirst().path("expected").isMissingNode(), row);
        }
    }

    @Test
    void aPromptBeyondThePositionsIsRefusedWithBothNumbersOrSkipped() throws IOException {
        Path rows = Files.writeString(
                dir.resolve("rows.jsonl"), "{\"prompt\": \"" + "zebra ".repeat(3000) + "\"}\n{\"prompt\": \"a\"}\n");
        Path out = dir.resolve("answers.jsonl");
        String[] args = {
            "generate",
            "--model",
            Program.BASE.toString(),
            "--input-file",
            rows.toString(),
            "--output-file",
            out.toString(),
            "--threads",
            "1",
            "--max-new-tokens",
            "3"
        };
        Outcome refused = Program.run(args);
        assertEquals(2, refused.status());
        assertTrue(
                refused.err()
                        .matches(
                                "(?s)error: .*rows.jsonl, row 1: the prompt has \\d{4,} tokens, the model was made for \\d+\n.*"),
                refused::err);
        List<String> skipping = new ArrayList<>(Arrays.asList(args));
        skipping.addAll(List.of("--max-bad", "1"));
        Outcome skipped = Program.run(skipping.toArray(String[]::new)).succeeded();
        assertTrue(skipped.out().contains("skipped: "), skipped::out);
        assertEquals(1, Files.readAllLines(out).size());
    }

    @Test
    void severalAnswersOfARowHaveSeedsOfTheirOwn() throws IOException {
        Path rows = Program.rows(dir, 0, 2);
        List<JsonNode> answers =
                generate(rows, "--num-return-sequences", "3", "--temperature", "1.5", "--max-new-tokens", "16");
        assertEquals(6, answers.size());
        assertEquals(
                6,
                answers.stream()
                        .map(a -> a.path("answer").asString())
                        .distinct()
                        .count());
        assertEquals(
                answers,
                generate(rows, "--num-return-sequences", "3", "--temperature", "1.5", "--max-new-tokens", "16"));
    }

    @Test
    void evalReportsEachSetEachLengthAndAnswersInOneJson() throws IOException {
        Path a = Program.rows(dir, 0, 6);
        Path b = Program.rows(dir, 6, 10);
        Path out = dir.resolve("report.json");
        Outcome outcome = Program.run(
                        "eval",
                        "--model",
                        Program.BASE.toString(),
                        "--threads",
                        "1",
                        "--eval-file",
                        a.toString(),
                        b.toString(),
                        "--generate",
                        "--max-new-tokens",
                        "8",
                        "--output-file",
                        out.toString())
                .succeeded();
        JsonNode report = JSON.readTree(out.toFile());
        double loss = 0;
        long tokens = 0;
        for (JsonNode set : report.path("datasets")) {
            loss += set.path("loss").asDouble() * set.path("label_tokens").asLong();
            tokens += set.path("label_tokens").asLong();
            assertEquals(
                    Program.eval(Program.BASE, Path.of(set.path("name").asString())),
                    set.path("loss").asDouble(),
                    1e-6);
            assertEquals(set.path("rows").asInt(), set.path("answers").size());
        }
        assertEquals(report.path("loss").asDouble(), loss / tokens, 1e-9);
        assertEquals(Math.exp(loss / tokens), report.path("perplexity").asDouble(), 1e-9);
        double accuracy = report.path("token_accuracy").asDouble();
        assertTrue(accuracy > 0 && accuracy < 1);
        assertEquals(10, sum(report.path("lengths"), "rows"));
        assertEquals(tokens, sum(report.path("lengths"), "label_tokens"));
        assertTrue(outcome.out().contains("BLEU"), outcome::out);
    }

    @Test
    void compareShowsWhatWasLearntAndWhatForgotten() throws IOException {
        Path learnt = Program.rows(dir, 0, 4);
        Path other = Program.rows(dir, 20, 24);
        Path run = dir.resolve("run");
        Program.train(run, learnt, "--lr", "3e-3", "--max-steps", "30", "--batch-size", "4", "--save-steps", "15")
                .succeeded();
        Path out = dir.resolve("compared.json");
        Outcome outcome = Program.run(
                        "eval",
                        "--compare",
                        Program.BASE.toString(),
                        run.resolve("checkpoint-15").toString(),
                        "--threads",
                        "1",
                        "--eval-file",
                        learnt.toString(),
                        other.toString(),
                        "--generate",
                        "--max-new-tokens",
                        "8",
                        "--output-file",
                        out.toString())
                .succeeded();
        JsonNode sets = JSON.readTree(out.toFile()).path("compared");
        assertTrue(sets.get(0).path("change").asDouble() < -0.5, outcome::out);
        assertEquals(4, sets.get(0).path("better").asInt());
        assertTrue(sets.get(1).path("change").asDouble()
                > sets.get(0).path("change").asDouble());
        double before = Double.NEGATIVE_INFINITY;
        for (JsonNode row : sets.get(1).path("rows")) {
            assertTrue(row.path("change").asDouble() >= before);
            before = row.path("change").asDouble();
            assertTrue(row.has("expected") && row.has("base_answer") && row.has("tuned_answer"));
        }
        assertTrue(outcome.out().contains("learnt most:"), outcome::out);
        assertEquals(
                2,
                Program.run("eval", "--compare", "a", "b", "--model", "c", "--eval-file", "d")
                        .status());
        assertEquals(
                2, Program.run("eval", "--compare", "a", "--eval-file", "d").status());
    }

    private List<JsonNode> generate(Path rows, String... more) throws IOException {
        Path out = dir.resolve("answers.jsonl");
        List<String> args = new ArrayList<>(List.of(
                "generate",
                "--model",
                Program.BASE.toString(),
                "--threads",
                "1",
                "--input-file",
                rows.toString(),
                "--output-file",
                out.toString()));
        args.addAll(Arrays.asList(more));
        Program.run(args.toArray(String[]::new)).succeeded();
        List<JsonNode> answers = new ArrayList<>();
        for (String line : Files.readAllLines(out)) {
            answers.add(JSON.readTree(line));
        }
        return answers;
    }

    private static long sum(JsonNode rows, String field) {
        return rows.values().stream().mapToLong(row -> row.path(field).asLong()).sum();
    }
}
