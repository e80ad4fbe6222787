package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.support.Chromium;
import org.sftnative.support.InMemory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What a run shows of itself, on the small model: 4 steps of 4 rows, evaluated after each.
class SeeingTest {
    private static final JsonMapper JSON = new JsonMapper();
    private static final Map<String, String> SHORT = Map.of(
            "--batch-size", "4",
            "--gradient-accumulation-steps", "1",
            "--learning-rate", "1e-3",
            "--logging-steps", "1",
            "--max-steps", "4",
            "--eval-strategy", "steps",
            "--eval-steps", "1",
            "--save-steps", "2");

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path held;

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 8);
        held = Program.rows(dir, 20, 24);
    }

    private Outcome train(String name, String... more) {
        List<String> args = new ArrayList<>(List.of(more));
        SHORT.forEach((flag, value) -> {
            if (!args.contains(flag)) {
                args.addAll(List.of(flag, value));
            }
        });
        args.addAll(List.of("--eval-file", held.toString()));
        return Program.train(dir.resolve(name), rows, args.toArray(String[]::new));
    }

    @Test
    void samplesAreAskedAndDoNotChangeTheNumbers() throws IOException {
        train("asked", "--report-samples", "2").succeeded();
        train("quiet", "--report-samples", "0").succeeded();
        assertEquals(Program.numbers(dir.resolve("quiet")), Program.numbers(dir.resolve("asked")));
        assertEquals(
                Program.contents(dir.resolve("quiet")).get("model.safetensors"),
                Program.contents(dir.resolve("asked")).get("model.safetensors"));
        List<JsonNode> samples = events("asked", "sample");
        assertEquals(8, samples.size());
        assertEquals(List.of(), events("quiet", "sample"));
        JsonNode row = JSON.readTree(Files.readAllLines(held).getFirst());
        assertTrue(samples.getFirst()
                .path("prompt")
                .asString("")
                .contains(row.path("instruction").asString()));
        assertTrue(row.path("output")
                .asString("")
                .startsWith(samples.getFirst().path("expected").asString("").replaceAll(" \\.\\.$", "")));
        assertFalse(samples.getLast().path("answer").asString("").isBlank());
    }

    /// A rate far too high: evaluations get worse at once.
    @Test
    void earlyStoppingEndsTheRunWithAModelAndAResumedRunStaysEnded() throws IOException {
        Outcome outcome = train(
                        "early",
                        "--learning-rate",
                        "0.3",
                        "--max-steps",
                        "40",
                        "--early-stopping-patience",
                        "2",
                        "--load-best-model-at-end",
                        "--save-steps",
                        "1",
                        "--on-spike",
                        "warn")
                .succeeded();
        List<Integer> evaluated = Program.steps(dir.resolve("early"), "eval_loss");
        assertTrue(evaluated.size() < 20, evaluated::toString);
        assertTrue(
                outcome.out()
                        .contains("the run ends early, after step " + evaluated.getLast() + " of 40: eval_loss"
                                + " has not improved in 2 evaluations"),
                outcome.out());
        assertTrue(outcome.out().contains("which is the best by eval_loss"), outcome.out());
        assertTrue(outcome.out().endsWith("the model is in " + dir.resolve("early") + "\n"), outcome.out());
        List<Double> losses = Program.values(dir.resolve("early"), "eval_loss");
        assertEquals(losses.size() - 3, losses.indexOf(Collections.min(losses)), losses::toString);
        Outcome again = train(
                        "early",
                        "--learning-rate",
                        "0.3",
                        "--max-steps",
                        "40",
                        "--early-stopping-patience",
                        "2",
                        "--save-steps",
                        "1",
                        "--on-spike",
                        "warn",
                        "--resume")
                .succeeded();
        assertTrue(again.out().contains("the run ends early, after step " + evaluated.getLast()), again.out());
        assertEquals(evaluated, Program.steps(dir.resolve("early"), "eval_loss"));
    }

    @Test
    void earlyStoppingWithoutEvaluationIsRefused() {
        Outcome none = Program.train(dir.resolve("x"), rows, "--early-stopping-patience", "2");
        assertEquals(2, none.status());
        assertTrue(none.err().contains("early_stopping_patience needs evaluation rows"), none.err());
        Outcome never = train("x", "--early-stopping-patience", "2", "--eval-strategy", "no");
        assertEquals(2, never.status());
        assertTrue(never.err().contains("eval_strategy is no"), never.err());
        assertFalse(Files.exists(dir.resolve("x")));
    }

    @Test
    void jsonPrintsOneObjectForEachEventAndQuietNothing() {
        List<String> events = train("json", "--json")
                .succeeded()
                .out()
                .lines()
                .map(line -> JSON.readTree(line).path("event").asString(""))
                .toList();
        assertEquals("started", events.getFirst());
        assertEquals("finished", events.getLast());
        assertEquals(4, events.stream().filter("step"::equals).count());
        assertEquals(4, events.stream().filter("eval"::equals).count());
        assertEquals(
                "",
                train("none", "--quiet", "--eval-strategy", "no").succeeded().out());
    }

    @Test
    void theStartSaysWhatIsTrainedAndWhichSettingsAreNotTheDefault() {
        String out = train("said").succeeded().out();
        assertTrue(out.matches("(?s).*\\ntrained +all \\S+ parameters\\n.*"), out);
        assertTrue(out.matches("(?s).*\\nsteps +4 \\(max_steps\\)\\n.*"), out);
        assertTrue(out.matches("(?s).*\\nmemory +trained weights .* activations .*"), out);
        assertTrue(out.matches("(?s).*\\nsettings +[^\\n]*max_steps 4, learning_rate 0.001.*"), out);
        assertFalse(out.matches("(?s).*\\nsettings +[^\\n]*num_train_epochs.*"), out);
    }

    @Test
    void endOfARunIsPosted() throws Exception {
        List<String> bodies = Collections.synchronizedList(new ArrayList<>());
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            bodies.add(new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
            exchange.sendResponseHeaders(204, -1);
            exchange.close();
        });
        server.start();
        try {
            train(
                            "told",
                            "--alert-url",
                            "http://127.0.0.1:" + server.getAddress().getPort() + "/hook")
                    .succeeded();
        } finally {
            server.stop(0);
        }
        assertTrue(
                bodies.getLast().startsWith("{\"run\":\"told\",\"step\":4,\"event\":\"finished\""), bodies::toString);
    }

    @Test
    void reportComparesRunsInABrowserWithoutTheNetwork() throws Exception {
        train("one").succeeded();
        train("two", "--learning-rate", "1e-4").succeeded();
        assertTrue(Files.size(dir.resolve("one/report.html")) > 100_000, "the run wrote its own report");
        Path page = dir.resolve("both.html");
        Path charts = dir.resolve("charts");
        Outcome outcome = Program.run(
                        "report",
                        dir.resolve("one").toString(),
                        dir.resolve("two").toString(),
                        "--html",
                        page.toString(),
                        "--png",
                        charts.toString())
                .succeeded();
        assertTrue(outcome.out().startsWith("the page is " + page + "\n"), outcome.out());
        Set<String> names = new TreeSet<>(Program.contents(charts).keySet());
        assertEquals(
                Set.of("grad_norm.png", "learning_rate.png", "loss.png", "memory.png", "tokens_per_second.png"), names);
        for (String name : names) {
            assertEquals(1000, ImageIO.read(charts.resolve(name).toFile()).getWidth());
        }
        Optional<Chromium> found = Chromium.start();
        assumeTrue(found.isPresent(), "no chromium");
        try (Chromium browser = found.get()) {
            browser.open(page.toUri().toString(), 1200, 1000);
            browser.await("document.querySelectorAll('#charts canvas').length === 5");
            assertEquals("one, two", browser.evaluate("document.getElementById('title').textContent"));
            assertEquals("4", browser.evaluate("plots.loss.getOption().series.length"));
            browser.open(dir.resolve("one/report.html").toUri().toString(), 1200, 1000);
            browser.await("document.getElementById('state').textContent === 'finished'");
            assertTrue(Integer.parseInt(browser.evaluate("document.querySelectorAll('#samples tr').length")) > 4);
            assertEquals(
                    List.of(),
                    browser.requests().stream()
                            .filter(a -> !a.startsWith("file:") && !a.startsWith("data:") && !a.equals("about:blank"))
                            .toList());
            assertEquals(List.of(), browser.complaints());
        }
    }

    @Test
    void reportOfNoRunIsRefused() {
        Outcome none = Program.run("report", dir.resolve("nothing").toString());
        assertEquals(2, none.status());
        assertTrue(none.err().startsWith("error: " + dir.resolve("nothing") + " is no directory"), none.err());
        assertEquals(2, Program.run("report").status());
        assertEquals(2, Program.run("dashboard", dir.toString()).status());
    }

    @Test
    void everyExampleOfTheHelpIsUnderstood() {
        List<String> examples = Program.run("--help")
                .out()
                .replaceAll("\\\\\n +", "")
                .lines()
                .filter(line -> line.strip().startsWith("sft-native ") && !line.contains("COMMAND"))
                .map(String::strip)
                .toList();
        assertTrue(examples.size() >= 6, examples::toString);
        for (String example : examples) {
            String[] words = example.replace("\"", "").split(" ");
            List<String> args = Arguments.prepare(Arrays.copyOfRange(words, 1, words.length));
            if (!example.contains("--instruction")) {
                Commands.build().parseArgs(args.toArray(String[]::new)); // throws
            }
        }
    }

    @Test
    void completionKnowsCommandsAndFlags() throws Exception {
        Path script = Files.writeString(
                dir.resolve("completion"), Program.run("completion").succeeded().out());
        String line =
                "COMP_WORDS=(sft-native train --early-stopping-p); COMP_CWORD=2; _complete_sft-native 2>/dev/null;"
                        + " echo \"${COMPREPLY[@]}\"";
        Process bash = new ProcessBuilder("bash", "-c", "source " + script + "; " + line)
                .redirectErrorStream(true)
                .start();
        assertEquals(
                "--early-stopping-patience", new String(bash.getInputStream().readAllBytes()).strip());
    }

    @Test
    void manualHasEveryCommandAndFlag() throws Exception {
        Program.run("man", dir.resolve("man").toString()).succeeded();
        Map<String, String> pages = Program.contents(dir.resolve("man"));
        Commands.build().getSubcommands().forEach((name, command) -> {
            if (!command.getCommandSpec().usageMessage().hidden()) {
                String page = pages.getOrDefault("sft-native-" + name + ".1", "");
                command.getCommandSpec()
                        .options()
                        .forEach(o -> assertTrue(
                                page.contains(o.longestName().substring(2).replace("-", "\\-")),
                                name + o.longestName()));
            }
        });
    }

    private List<JsonNode> events(String run, String kind) throws IOException {
        return Files.readAllLines(dir.resolve(run).resolve("events.jsonl")).stream()
                .map(JSON::readTree)
                .filter(line -> line.path("event").asString("").equals(kind))
                .toList();
    }
}
