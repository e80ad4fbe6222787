package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
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

    private String said;

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
    void evalSaysWhichRowsItSkipped() throws IOException {
        Path rows = Files.writeString(
                dir.resolve("rows.jsonl"),
                "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n{\"prompt\": \"c\", \"completion\": \"d\"}\n");
        String[] args = ("eval --threads 1 --max-bad 1 --model " + Program.BASE + " --eval-file " + rows).split(" ");
        Outcome scored = Program.run(args).succeeded();
        assertTrue(scored.out().startsWith("skipped: "), scored::out);
        assertTrue(scored.out().lines().findFirst().orElseThrow().contains("rows.jsonl, row 2"), scored::out);
        args[4] = "0";
        assertEquals(2, Program.run(args).status());
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
    void howTokensAreChosenIsSaidByFlags() throws IOException {
        Path rows = Program.rows(dir, 0, 3);
        List<JsonNode> greedy = generate(rows, "--max-new-tokens", "24");
        List<JsonNode> wild = generate(rows, "--max-new-tokens", "24", "--temperature", "1.5", "--seed", "3");
        assertEquals(wild, generate(rows, "--max-new-tokens", "24", "--temperature", "1.5", "--seed", "3"));
        assertNotEquals(wild, generate(rows, "--max-new-tokens", "24", "--temperature", "1.5", "--seed", "4"));
        for (String narrow : List.of("--top-k 1", "--top-p 1e-9")) { // the likeliest alone is left
            String[] flags = ("--max-new-tokens 24 --temperature 1.5 --seed 3 " + narrow).split(" ");
            assertEquals(greedy, generate(rows, flags), narrow);
        }
        assertNotEquals(greedy, generate(rows, "--max-new-tokens", "24", "--repetition-penalty", "50"));
        String first = greedy.getFirst().path("answer").asString();
        String stop = first.substring(first.length() / 2, first.length() / 2 + 2);
        JsonNode stopped =
                generate(rows, "--max-new-tokens", "24", "--stop", "zzzz", stop).getFirst();
        assertEquals(
                first.substring(0, first.indexOf(stop)), stopped.path("answer").asString());
        assertEquals("stop", stopped.path("finish_reason").asString());
    }

    /// Keys and values of a token are 3 layers x 2 x 32 floats, 768 bytes.
    @Test
    void theCacheIsPlannedAndSaidAndRowsWaitForRoomOrAreRefused() throws IOException {
        Path rows = Program.rows(dir, 0, 6);
        List<JsonNode> free = generate(rows, "--max-new-tokens", "12");
        assertTrue(said.contains("up to 6 texts at a time"), said);
        int longest = free.stream()
                        .mapToInt(a -> a.path("prompt_tokens").asInt())
                        .max()
                        .orElseThrow()
                + 12;
        String one = "" + (longest + 1) * 768.0 / (1 << 30);
        assertEquals(free, generate(rows, "--max-new-tokens", "12", "--kv-memory", one));
        assertTrue(
                said.matches("(?s)kv cache 0\\.\\d\\d MiB: (" + longest + "|" + (longest + 1) + ") tokens of .*"),
                said);
        String[] eval = ("eval --threads 1 --generate --max-new-tokens 12 --model " + Program.BASE + " --eval-file "
                        + rows + " --kv-memory " + one)
                .split(" ");
        Outcome planned = Program.run(eval).succeeded();
        assertTrue(planned.out().startsWith("kv cache 0."), planned::out);
        eval[eval.length - 1] = "" + (longest - 2) * 768.0 / (1 << 30);
        List<Outcome> refused = List.of(
                Program.run(eval),
                Program.run(
                        ("generate --threads 1 --max-new-tokens 12 --model " + Program.BASE + " --input-file " + rows
                                        + " --output-file " + dir.resolve("none.jsonl") + " --kv-memory "
                                        + eval[eval.length - 1])
                                .split(" ")));
        for (Outcome outcome : refused) {
            assertEquals(2, outcome.status());
            assertTrue(
                    outcome.err().contains("one text of " + longest + " tokens needs ")
                            && outcome.err().contains("--kv-memory"),
                    outcome::err);
        }
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
    void bucketsOfLengthsEndAtPowersOfTwoFrom64On() {
        List<Evaluation.Row> rows = IntStream.of(1, 64, 65, 128, 129, 600)
                .mapToObj(n -> new Evaluation.Row("r", n, 2.0 * n, n / 2, n, Optional.empty(), Optional.empty()))
                .toList();
        Map<Integer, List<Evaluation.Row>> buckets = Evaluation.byLength(rows);
        assertEquals(List.of(64, 128, 256, 1024), List.copyOf(buckets.keySet()));
        assertEquals(List.of(rows.get(2), rows.get(3)), buckets.get(128));
        Evaluation.Numbers numbers = Evaluation.Numbers.of(buckets.get(128));
        assertEquals(2, numbers.loss());
        assertEquals(Math.exp(2), numbers.perplexity());
        assertEquals(96 / 193.0, numbers.accuracy());
        assertEquals(193, numbers.labelTokens());
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
        said = Program.run(args.toArray(String[]::new)).succeeded().out();
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
