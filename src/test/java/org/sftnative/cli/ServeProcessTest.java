package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.model.RandomAdapter;
import org.sftnative.support.InMemory;
import tools.jackson.databind.JsonNode;

/// `serve` as a process of its own: adapters by name, checkpoints of a run that goes on, signals.
class ServeProcessTest {
    private static final String TEXT = "/v1/completions";
    private static final List<String> PROMPTS = List.of("The sun", "Name three", "什么是光合作用？");

    @TempDir(factory = InMemory.class)
    Path dir;

    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final List<Process> started = new ArrayList<>();
    private Path log;
    private String address;

    @AfterEach
    void end() throws Exception {
        client.close();
        for (Process process : started) {
            process.destroyForcibly().waitFor();
        }
    }

    @Test
    void adaptersAreServedByNameAndDoNotMix() throws Exception {
        Path first = adapter("first", 1);
        Path second = adapter("second", 2);
        Process server =
                serve(Program.BASE, "--adapter", "one=" + first, second.toString(), "--generation-batch-size", "4");
        List<String> names = new ArrayList<>();
        JsonNode listed = Served.JSON.readTree(get("/v1/models").body());
        listed.path("data").forEach(model -> names.add(model.path("id").stringValue()));
        assertEquals(List.of("base", "one", "second"), names);
        Map<String, String> expected = new HashMap<>();
        for (String prompt : PROMPTS) {
            expected.put("base" + prompt, generated(Program.BASE, prompt));
            expected.put("one" + prompt, generated(Program.BASE, prompt, "--adapter", first.toString()));
            expected.put("second" + prompt, generated(Program.BASE, prompt, "--adapter", second.toString()));
        }
        assertEquals(9, expected.values().stream().distinct().count());
        List<CompletableFuture<Void>> all = new ArrayList<>();
        for (int i = 0; i < 36; i++) { // three times each, all at once
            String name = names.get(i % 3);
            String prompt = PROMPTS.get(i / 3 % 3);
            all.add(post(greedy(name, prompt, 24))
                    .thenAccept(reply -> assertEquals(expected.get(name + prompt), text(reply), name)));
        }
        CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).get(60, TimeUnit.SECONDS);
        HttpResponse<String> unknown = post(greedy("three", "Hi", 2)).get();
        assertEquals(404, unknown.statusCode());
        JsonNode error = Served.JSON.readTree(unknown.body()).path("error");
        assertEquals("invalid_request_error", error.path("type").stringValue());
        assertEquals("model_not_found", error.path("code").stringValue());
        assertEquals("model", error.path("param").stringValue());
        String message = error.path("message").stringValue();
        assertTrue(message.contains("'three'") && message.contains("base, one, second"), message);
        assertEquals(3, Files.readString(log).split("kv cache ", -1).length - 1, "a plan each");
        ends(server, "TERM", 143);
    }

    private Path adapter(String name, long seed) {
        Path directory = dir.resolve(name);
        RandomAdapter.save(directory, Program.BASE, MergeTest.config(false, List.of()), seed, 0.1);
        return directory;
    }

    /// What serve, generate and eval read of a checkpoint is theirs: the run goes on and removes it.
    @Test
    void aCheckpointOfARunThatGoesOnIsServedAlsoWhenItIsGone() throws Exception {
        Path out = dir.resolve("out");
        Path rows = Program.rows(dir, 0, 8);
        List<String> settings = new ArrayList<>(List.of("train", "--model", Program.BASE.toString(), "--train-file"));
        settings.addAll(List.of(rows.toString(), "--output-dir", out.toString(), "--threads", "1", "--lr", "3e-3"));
        settings.addAll(List.of("--lr-scheduler-type", "constant"));
        settings.addAll(List.of("--max-steps", "100000", "--save-steps", "4", "--save-total-limit", "2"));
        Process train = start(dir.resolve("train.txt"), settings.toArray(String[]::new));
        Path checkpoint = out.resolve("checkpoint-4");
        await(train, () -> Files.exists(checkpoint));
        signal(train, "STOP"); // the run holds its lock, and writes on later
        assertTrue(Files.exists(checkpoint), "it was removed before the run was held");
        Process server = serve(checkpoint);
        String expected = generated(checkpoint, PROMPTS.getFirst());
        assertNotEquals(generated(Program.BASE, PROMPTS.getFirst()), expected);
        assertTrue(Program.eval(checkpoint, rows) < Program.eval(Program.BASE, rows));
        String request = greedy("checkpoint-4", PROMPTS.getFirst(), 24);
        assertEquals(expected, text(post(request).get()));
        signal(train, "CONT");
        await(train, () -> !Files.exists(checkpoint));
        assertEquals(expected, text(post(request).get()));
        newest(out);
        ends(server, "TERM", 143);
        signal(train, "KILL");
        Outcome gone = Program.run("generate", "--model", checkpoint.toString(), "--prompt", "Hi");
        assertEquals(2, gone.status());
        assertTrue(gone.err().startsWith("error: model directory " + checkpoint + " does not exist\n"), gone.err());
    }

    /// While the run writes and removes: an answer, or an error that says what happened.
    private static void newest(Path out) throws IOException {
        int answered = 0;
        for (int i = 0; i < 8; i++) {
            String name;
            try (var all = Files.list(out)) {
                name = all.map(path -> path.getFileName().toString())
                        .filter(n -> n.startsWith("checkpoint-"))
                        .max((a, b) -> Integer.compare(a.length(), b.length()) * 2 + Integer.signum(a.compareTo(b)))
                        .orElseThrow();
            }
            Path model = out.resolve(name);
            Outcome outcome = Program.run(
                    "generate",
                    "--model",
                    model.toString(),
                    "--prompt",
                    "Hi",
                    "--threads",
                    "1",
                    "--max-new-tokens",
                    "4");
            if (outcome.status() == 0) {
                answered++;
                continue;
            }
            assertEquals(2, outcome.status(), outcome.err());
            assertTrue(
                    outcome.err().startsWith("error: model directory " + model + " does not exist\n")
                            || outcome.err().startsWith("error: " + model + " was removed while it was read\n"),
                    outcome.err());
        }
        assertTrue(answered > 0, "none of 8");
    }

    @Test
    void sigtermLetsARequestEndAndThenExits() throws Exception {
        Process server = serve(Served.endless(dir), "--grace-seconds", "60");
        CompletableFuture<HttpResponse<String>> going = post(greedy("model", "The", 400));
        await(server, () -> get("/metrics").body().contains("\nsft_texts_running{model=\"model\"} 1\n"));
        signal(server, "TERM");
        HttpResponse<String> whole = going.get(60, TimeUnit.SECONDS);
        assertEquals(200, whole.statusCode());
        JsonNode reply = Served.JSON.readTree(whole.body());
        assertEquals(400, reply.path("usage").path("completion_tokens").intValue());
        assertTrue(server.waitFor(20, TimeUnit.SECONDS), "it goes on");
        assertEquals(143, server.exitValue());
        assertTrue(Files.readString(log).endsWith("stopping: requests have 60 s to end\n"), Files.readString(log));
    }

    @Test
    void withoutGraceARequestIsToldAndASecondSignalWaitsForNothing() throws Exception {
        Path model = Served.endless(dir);
        Process server = serve(model, "--grace-seconds", "0");
        CompletableFuture<HttpResponse<String>> going = post(stream(greedy("model", "The", 1000)));
        await(server, () -> get("/metrics").body().contains("\nsft_texts_running{model=\"model\"} 1\n"));
        ends(server, "TERM", 143);
        assertTrue(going.get(10, TimeUnit.SECONDS).body().contains("shutting_down"));
        server = serve(model, "--grace-seconds", "600");
        going = post(stream(greedy("model", "The", 1000).replace("\"prompt\"", "\"n\":16,\"prompt\"")));
        await(server, () -> get("/metrics").body().contains("\nsft_texts_running{model=\"model\"} 16\n"));
        signal(server, "TERM");
        await(server, () -> Files.readString(log).contains("stopping: "));
        ends(server, "TERM", 143);
        assertFalse(going.handle((reply, broken) -> broken == null).get(10, TimeUnit.SECONDS));
    }

    private static String stream(String body) {
        return body.substring(0, body.length() - 1) + ",\"stream\":true}";
    }

    private void ends(Process process, String signal, int status) throws Exception {
        signal(process, signal);
        assertTrue(process.waitFor(20, TimeUnit.SECONDS), "it goes on");
        assertEquals(status, process.exitValue(), () -> Program.contents(dir).toString());
    }

    private static void signal(Process process, String name) throws Exception {
        assertEquals(
                0,
                new ProcessBuilder("kill", "-" + name, "" + process.pid())
                        .start()
                        .waitFor());
    }

    private Process start(Path said, String... args) throws IOException {
        Process process = new ProcessBuilder(Program.command(args))
                .redirectErrorStream(true)
                .redirectOutput(said.toFile())
                .start();
        started.add(process);
        return process;
    }

    /// Serves a model on a free port.
    private Process serve(Path model, String... more) throws Exception {
        List<String> args =
                new ArrayList<>(List.of("serve", "--model", model.toString(), "--threads", "1", "--port", "0"));
        args.addAll(Arrays.asList(more));
        log = dir.resolve("serve.txt");
        Process process = start(log, args.toArray(String[]::new));
        Pattern where = Pattern.compile("^serving .* on (http://127\\.0\\.0\\.1:\\d+)/v1\n", Pattern.MULTILINE);
        await(process, () -> {
            Matcher found = where.matcher(Files.readString(log));
            address = found.find() ? found.group(1) : "";
            return !address.isEmpty();
        });
        return process;
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private void await(Process process, Condition condition) throws Exception {
        long end = System.nanoTime() + 120_000_000_000L;
        while (!condition.holds()) {
            if (!process.isAlive() || System.nanoTime() > end) {
                throw new AssertionError((process.isAlive() ? "not in two minutes\n" : "it ended\n")
                        + Files.readString(log == null ? dir.resolve("train.txt") : log));
            }
            Thread.sleep(3);
        }
    }

    private HttpResponse<String> get(String path) throws Exception {
        return client.send(HttpRequest.newBuilder(URI.create(address + path)).build(), BodyHandlers.ofString());
    }

    private CompletableFuture<HttpResponse<String>> post(String body) {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address + TEXT))
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body))
                .build();
        return client.sendAsync(request, BodyHandlers.ofString());
    }

    private static String greedy(String model, String prompt, int tokens) {
        return Served.JSON
                .createObjectNode()
                .put("model", model)
                .put("prompt", prompt)
                .put("temperature", 0)
                .put("max_tokens", tokens)
                .toString();
    }

    private static String text(HttpResponse<String> reply) {
        assertEquals(200, reply.statusCode(), reply.body());
        return Served.JSON
                .readTree(reply.body())
                .path("choices")
                .get(0)
                .get("text")
                .stringValue();
    }

    private String generated(Path model, String prompt, String... more) throws IOException {
        List<String> args = new ArrayList<>(List.of("generate", "--model", model.toString(), "--threads", "1"));
        Path file = Files.writeString(dir.resolve("prompt.txt"), prompt);
        args.addAll(List.of("--max-new-tokens", "24", "--prompt-file", file.toString()));
        args.addAll(Arrays.asList(more));
        String said = Program.run(args.toArray(String[]::new)).succeeded().out();
        return said.substring(0, said.length() - 1); // generate ends with a newline
    }
}
