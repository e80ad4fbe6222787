package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.io.HubSettings;
import org.sftnative.support.HubServer;
import org.sftnative.support.HubServer.Fault;

/// Models of the Hub on the command line, in processes of their own where that matters;
/// huggingface_hub on the same cache.
class HubCommandTest {
    private static final String ID = "some-org/small_model";
    private static final String WEIGHTS = "model.safetensors";

    @TempDir
    Path directory;

    private HubServer server;

    @BeforeEach
    void start() throws IOException {
        server = new HubServer(ID, Program.BASE);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    @Test
    void aModelOfTheHubIsTrainedAsItsDirectoryIs() throws IOException {
        Path rows = Program.rows(directory, 0, 4);
        Path ofHub = directory.resolve("a");
        Program.Outcome outcome = run(train(ID, ofHub, rows)).succeeded();
        assertTrue(outcome.err().contains("fetching"), outcome.err());
        assertTrue(outcome.err().contains(WEIGHTS), outcome.err());
        assertFalse(outcome.err().contains("\033"), "no terminal: plain lines");
        Path ofDirectory = directory.resolve("b");
        Program.run(train(Program.BASE.toString(), ofDirectory, rows)).succeeded();
        assertEquals(Program.numbers(ofDirectory), Program.numbers(ofHub));
        assertEquals(
                Files.readString(ofDirectory.resolve(WEIGHTS), StandardCharsets.ISO_8859_1),
                Files.readString(ofHub.resolve(WEIGHTS), StandardCharsets.ISO_8859_1));
        assertTrue(run("info", ID + "@v1").succeeded().out().startsWith("llama"));
        assertEquals(1, server.fetches(WEIGHTS));
    }

    @Test
    void anAdapterNamesItsBaseAsTheHubDoes() throws IOException {
        Path out = directory.resolve("out");
        List<String> args = new ArrayList<>(List.of(train(ID, out, Program.rows(directory, 0, 4))));
        args.addAll(List.of("--lora-r", "2"));
        run(args.toArray(String[]::new)).succeeded();
        String config = Files.readString(out.resolve("adapter_config.json"));
        assertTrue(config.matches("(?s).*\"base_model_name_or_path\"\\s*:\\s*\"" + ID + "\".*"), config);
    }

    @Test
    void aTokenizerNeedsNoWeights() {
        run("data", "data/quickstart.jsonl", "--model", ID, "--max-length", "64")
                .succeeded();
        assertEquals(0, server.fetches(WEIGHTS));
    }

    @Test
    void settingsAreCheckedAndPrintedWithoutFetching() throws IOException {
        Path rows = Program.rows(directory, 0, 4);
        List<String> args = new ArrayList<>(List.of(train(ID, directory.resolve("out"), rows)));
        args.add("--print-config");
        assertTrue(run(args.toArray(String[]::new)).succeeded().out().contains(ID));
        args.removeLast();
        args.addAll(List.of("--lora-r", "0"));
        assertEquals(2, run(args.toArray(String[]::new)).status());
        assertEquals(List.of(), server.requests);
    }

    @Test
    void downloadSaysWhereTheModelIs() throws IOException {
        Program.Outcome cached = run("download", ID).succeeded();
        assertTrue(cached.out().strip().endsWith("snapshots/" + HubServer.COMMIT), cached.out());
        Path copy = directory.resolve("copy");
        Program.Outcome copied =
                run("download", "--model", ID, "--output-dir", copy.toString()).succeeded();
        assertEquals(ID + " is in " + copy, copied.out().strip());
        assertTrue(Files.isRegularFile(copy.resolve(WEIGHTS)));
        assertEquals(2, run("download", "../evil").status());
        assertEquals(2, run("download").status());
    }

    @Test
    void failuresHaveTheirExitStatus() {
        Program.Outcome unknown = run("info", "some-org/nothing");
        assertEquals(2, unknown.status());
        assertTrue(unknown.err().contains("there is no directory some-org/nothing either"), unknown.err());
        server.close();
        Program.Outcome unreachable = run("info", ID);
        assertEquals(1, unreachable.status());
        assertTrue(unreachable.err().contains("could not be fetched"), unreachable.err());
        assertTrue(unreachable.err().contains("HF_HUB_OFFLINE"), unreachable.err());
        assertTrue(unreachable.err().contains(ID + " is no directory here"), unreachable.err());
        assertFalse(unreachable.err().contains("trying again"), unreachable.err());
    }

    @Test
    void twoProcessesAtOnceFetchOnce() throws Exception {
        server.gated = true;
        server.fail(WEIGHTS, new Fault.Slow(20, 100));
        try (ExecutorService both = Executors.newFixedThreadPool(2)) {
            List<Future<Program.Outcome>> outcomes = Stream.generate(
                            () -> both.submit(() -> Program.process(environment(), List.of(), "download", ID)))
                    .limit(2)
                    .toList();
            for (Future<Program.Outcome> outcome : outcomes) {
                Program.Outcome got = outcome.get().succeeded();
                assertFalse((got.out() + got.err()).contains(HubServer.TOKEN), "the token is printed");
            }
        }
        assertEquals(1, server.fetches(WEIGHTS));
        assertTrue(server.requests.stream()
                        .filter(r -> r.path().startsWith("/api/"))
                        .count()
                >= 2);
    }

    @Test
    void aDownloadThatIsKilledGoesOn() throws Exception {
        server.gated = true;
        server.fail(WEIGHTS, new Fault.Slow(100, 100));
        Path incomplete = cache().resolve(
                        "models--some-org--small_model/blobs/" + server.hash(WEIGHTS) + ".sft-native.incomplete");
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName(), "download", ID));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.redirectOutput(directory.resolve("log.txt").toFile());
        builder.environment().putAll(environment());
        Process process = builder.start();
        try {
            for (int i = 0; i < 600 && !(Files.exists(incomplete) && Files.size(incomplete) > 0); i++) {
                assertTrue(process.isAlive(), () -> log());
                Thread.sleep(50);
            }
        } finally {
            process.destroyForcibly();
            process.waitFor(10, TimeUnit.SECONDS);
        }
        long kept = Files.size(incomplete);
        assertTrue(kept > 0 && kept < server.file(WEIGHTS).length, "kept " + kept);
        run("download", ID).succeeded();
        assertTrue(
                server.requests.stream().anyMatch(r -> r.range().equals("bytes=" + kept + "-")),
                server.requests::toString);
        assertFalse(Files.exists(incomplete));
    }

    private String log() {
        try {
            return Files.readString(directory.resolve("log.txt"));
        } catch (IOException e) {
            return e.toString();
        }
    }

    /// huggingface_hub reads what we fetched, and goes on with it.
    @Test
    @Tag("clients")
    void thePythonClientReadsOurCache() throws Exception {
        run("download", ID).succeeded();
        List<String> local = python("local");
        assertEquals(
                cache().resolve("models--some-org--small_model/snapshots/" + HubServer.COMMIT)
                        .toString(),
                local.getFirst());
        assertTrue(local.contains(WEIGHTS + " " + sha256(WEIGHTS)), local::toString);
        server.requests.clear();
        python("fetch");
        assertEquals(0, server.fetches(WEIGHTS), "it has the weights");
    }

    /// We read what huggingface_hub fetched, without a network, and fetch nothing again with one.
    @Test
    @Tag("clients")
    void weReadThePythonClientsCache() throws Exception {
        python("fetch");
        assertEquals(1, server.fetches(WEIGHTS));
        Program.Outcome online = run("download", ID).succeeded();
        assertFalse(online.err().contains("fetching"), online.err());
        assertEquals(1, server.fetches(WEIGHTS));
        server.close();
        Program.Outcome offline = Program.process(
                        Map.of("HF_HUB_OFFLINE", "1", "HF_HUB_CACHE", cache().toString()), List.of(), "info", ID)
                .succeeded();
        assertTrue(offline.out().startsWith("llama"), offline.out());
    }

    private List<String> python(String how) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(
                Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3"),
                "src/test/resources/clients/hub_cache.py",
                how,
                cache().toString(),
                ID,
                "main");
        builder.environment().putAll(environment());
        Path err = directory.resolve("python.txt");
        Process process = builder.redirectError(err.toFile()).start();
        List<String> lines =
                new String(process.getInputStream().readAllBytes()).lines().toList();
        assertTrue(process.waitFor(2, TimeUnit.MINUTES));
        assertEquals(0, process.exitValue(), Files.readString(err));
        return lines;
    }

    private String sha256(String file) throws Exception {
        return HexFormat.of()
                .formatHex(java.security.MessageDigest.getInstance("SHA-256").digest(server.file(file)));
    }

    private Map<String, String> environment() {
        return Map.of(
                "HF_ENDPOINT",
                server.endpoint(),
                "HF_HUB_CACHE",
                cache().toString(),
                "HF_HOME",
                directory.resolve("home").toString(),
                "HF_TOKEN",
                HubServer.TOKEN,
                "HF_HUB_OFFLINE",
                "0",
                "no_proxy",
                "*");
    }

    private Path cache() {
        return directory.resolve("cache");
    }

    private Program.Outcome run(String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int status = new CommandLineProgram(
                        new Rooms(),
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8),
                        false,
                        Optional.empty(),
                        () -> new HubSettings(
                                URI.create(server.endpoint()),
                                cache(),
                                Optional.of(new HubSettings.Token(HubServer.TOKEN)),
                                false,
                                Duration.ofSeconds(10),
                                Duration.ofMillis(1)))
                .run(args);
        return new Program.Outcome(status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    private static String[] train(String model, Path out, Path rows) {
        List<String> args = Program.training(model, out, rows);
        args.addAll(List.of("--max-steps", "1", "--logging-steps", "1"));
        return args.toArray(String[]::new);
    }
}
