package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.support.HubServer.COMMIT;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.support.HubServer;
import org.sftnative.support.HubServer.Fault;

/// Downloads from a server that plays the Hub's protocol, and everything that goes wrong with it.
class HubClientTest {
    private static final Path MODEL = Path.of("src/test/resources/golden/base");
    private static final Path SHARDED = Path.of("src/test/resources/golden/model-directory/sharded");
    private static final String ID = "some-org/small_model";
    private static final String WEIGHTS = "model.safetensors";

    @TempDir
    Path directory;

    private HubServer server;
    private Duration timeout = Duration.ofSeconds(20); // a busy machine is no stalled connection
    private final List<String> said = new CopyOnWriteArrayList<>();
    private final List<Long> received = new CopyOnWriteArrayList<>();

    @BeforeEach
    void start() throws IOException {
        server = new HubServer(ID, MODEL);
        server.put("pytorch_model.bin", new byte[100]);
        server.put("README.md", new byte[10]);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    @Test
    void filesThatTrainingNeedsAreFetchedAndLinkedAsThePythonClientDoes() throws IOException {
        Path snapshot = fetch(ID);
        Path entry = cache().resolve("models--some-org--small_model");
        assertEquals(entry.resolve("snapshots").resolve(COMMIT), snapshot);
        assertEquals(COMMIT, Files.readString(entry.resolve("refs/main")));
        assertEquals(Path.of("../../blobs/" + server.hash(WEIGHTS)), Files.readSymbolicLink(snapshot.resolve(WEIGHTS)));
        assertEquals(
                Path.of("../../blobs/" + server.hash("config.json")),
                Files.readSymbolicLink(snapshot.resolve("config.json")));
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.filter(f -> !f.toString().endsWith("encode.json")
                            && !f.toString().endsWith("generate.json"))
                    .toList()) {
                assertArrayEquals(
                        Files.readAllBytes(file),
                        Files.readAllBytes(snapshot.resolve(file.getFileName().toString())));
            }
        }
        assertFalse(Files.exists(snapshot.resolve("pytorch_model.bin")));
        assertFalse(Files.exists(snapshot.resolve("README.md")));
        assertEquals(0, server.fetches("pytorch_model.bin"));
        try (ModelDirectory model = ModelDirectory.open(snapshot)) {
            assertEquals("llama", model.config().path("model_type").asString());
        }
        assertEquals(List.of(), leftovers());
    }

    @Test
    void whatIsInTheCacheIsNotFetchedAgain() {
        fetch(ID);
        server.requests.clear();
        fetch(ID);
        assertEquals(1, server.requests.size(), server.requests::toString);
    }

    @Test
    void shardsOfTheIndexAreFetchedAndNoOthers() throws IOException {
        server.close();
        server = new HubServer(ID, SHARDED);
        server.put("model-00009-of-00009.safetensors", new byte[8]);
        Path snapshot = fetch(ID);
        ModelDirectory.open(snapshot).close();
        assertEquals(0, server.fetches("model-00009-of-00009.safetensors"));
        assertEquals(1, server.fetches("model-00003-of-00005.safetensors"));
    }

    @Test
    void emptyFilesAndFilesOfOneContentAreFetched() throws IOException {
        server.put("added_tokens.json", new byte[0]);
        server.put("vocab.json", server.file("generation_config.json"));
        Path snapshot = fetch(ID);
        assertEquals(0, Files.size(snapshot.resolve("added_tokens.json")));
        assertArrayEquals(server.file("generation_config.json"), Files.readAllBytes(snapshot.resolve("vocab.json")));
        assertEquals(1, server.fetches("vocab.json") + server.fetches("generation_config.json"));
    }

    @Test
    void proxiesAreTheEnvironments() {
        HubProxies proxies = new HubProxies(Map.of(
                "HTTPS_PROXY",
                "http://proxy.example:3128",
                "http_proxy",
                "plain:80",
                "no_proxy",
                "localhost,.inner.example"));
        assertEquals("proxy.example:3128", proxy(proxies, "https://huggingface.co/x"));
        assertEquals("plain:80", proxy(proxies, "http://huggingface.co/x"));
        assertEquals("", proxy(proxies, "https://localhost:9/x"));
        assertEquals("", proxy(proxies, "https://a.inner.example/x"));
        assertEquals("proxy.example:3128", proxy(proxies, "https://notlocalhost/x"));
        InputException wrong = assertThrows(
                InputException.class,
                () -> proxy(new HubProxies(Map.of("https_proxy", "http://u:secret@ho st")), "https://x/"));
        assertFalse(wrong.getMessage().contains("secret"), wrong::getMessage);
    }

    private static String proxy(HubProxies proxies, String uri) {
        return proxies.select(URI.create(uri)).getFirst().address() instanceof InetSocketAddress address
                ? address.getHostString() + ":" + address.getPort()
                : "";
    }

    @Test
    void tokenizerAloneIsFetchedWithoutWeights() {
        Path snapshot;
        try (HubClient client = client(settings())) {
            snapshot = client.fetch(name(ID), HubClient.Need.TOKENIZER);
        }
        assertTrue(Files.exists(snapshot.resolve("tokenizer.json")));
        assertEquals(0, server.fetches(WEIGHTS));
        fetch(ID); // completes it
        assertTrue(Files.exists(snapshot.resolve(WEIGHTS)));
    }

    @Test
    void revisionIsABranchATagOrACommit() throws IOException {
        Path entry = cache().resolve("models--some-org--small_model");
        fetch(ID + "@v1");
        assertEquals(COMMIT, Files.readString(entry.resolve("refs/v1")));
        fetch(ID + "@refs/pr/1");
        assertEquals(COMMIT, Files.readString(entry.resolve("refs/refs/pr/1")));
        fetch(ID + "@" + COMMIT);
        assertFalse(Files.exists(entry.resolve("refs").resolve(COMMIT)));
        refused(ID + "@v2", "there is no revision 'v2' (404)");
    }

    @Test
    void droppedConnectionGoesOnWhereItStopped() throws IOException {
        server.fail(WEIGHTS, new Fault.Drop(100_000), new Fault.Drop(100_000), new Fault.Drop(0));
        verified(fetch(ID));
        List<String> ranges = server.requests.stream()
                .filter(r -> r.host().equals("cdn"))
                .map(HubServer.Request::range)
                .toList();
        assertEquals(4, ranges.size());
        assertEquals("", ranges.getFirst());
        long first = Long.parseLong(ranges.get(1).replaceAll("\\D", ""));
        assertTrue(first > 0 && first <= 100_000, ranges::toString);
        assertTrue(said.getFirst().contains(WEIGHTS), said::toString);
        assertEquals(totalBytes(), received.stream().mapToLong(Long::longValue).sum());
    }

    @Test
    void aServerThatDropsForEverIsGivenUpAndItsBytesAreKept() throws IOException {
        Fault[] drops = new Fault[30];
        java.util.Arrays.fill(drops, new Fault.Drop(0));
        server.fail(WEIGHTS, new Fault.Drop(50_000));
        server.fail(WEIGHTS, drops);
        String message = failed(ID).getMessage();
        assertTrue(message.contains("run the command again"), message);
        assertEquals(1, leftovers().size());
        server.close();
        start();
        verified(fetch(ID));
        assertTrue(server.requests.stream().anyMatch(r -> r.range().startsWith("bytes=")), server.requests::toString);
    }

    @Test
    void aServerWithoutRangesIsReadFromTheStart() throws IOException {
        server.fail(WEIGHTS, new Fault.Drop(50_000), new Fault.NoRanges());
        verified(fetch(ID));
        assertEquals(totalBytes(), received.stream().mapToLong(Long::longValue).sum());
    }

    @Test
    void aPartThatTheServerDoesNotHaveIsFetchedFromTheStart() throws IOException {
        server.fail(WEIGHTS, new Fault.Drop(50_000), new Fault.Status(416, Map.of()));
        verified(fetch(ID));
    }

    @Test
    void moreBytesOnTheDiskThanTheFileHasAreThrownAway() throws IOException {
        Path blobs = Files.createDirectories(cache().resolve("models--some-org--small_model/blobs"));
        Files.write(
                blobs.resolve(server.hash(WEIGHTS) + ".sft-native.incomplete"),
                new byte[server.file(WEIGHTS).length + 1]);
        verified(fetch(ID));
    }

    @Test
    void wrongBytesAreNeverGivenTheirName() throws IOException {
        server.fail(WEIGHTS, new Fault.Flip());
        verified(fetch(ID)); // at the second attempt
        assertTrue(said.stream().anyMatch(text -> text.contains("SHA-256")), said::toString);
    }

    @ParameterizedTest
    @ValueSource(strings = {WEIGHTS, "tokenizer.json"})
    void bytesThatStayWrongAreAnError(String file) throws IOException {
        server.fail(file, new Fault.Flip(), new Fault.Flip(), new Fault.Flip());
        String message = failed(ID).getMessage();
        assertTrue(message.contains(file + " is damaged") && message.contains(server.hash(file)), message);
        assertFalse(Files.exists(cache().resolve("models--some-org--small_model/blobs/" + server.hash(file))));
        assertEquals(List.of(), leftovers());
    }

    @Test
    void bytesFromARunBeforeThatAreWrongAreFetchedAgain() throws IOException {
        Path blobs = Files.createDirectories(cache().resolve("models--some-org--small_model/blobs"));
        Files.write(blobs.resolve(server.hash(WEIGHTS) + ".sft-native.incomplete"), new byte[1000]);
        verified(fetch(ID));
    }

    @Test
    void aFileThatStaysShortIsAnError() {
        server.fail(WEIGHTS, shorts(20));
        String message = failed(ID).getMessage();
        assertTrue(message.contains(WEIGHTS), message);
    }

    private static Fault[] shorts(int times) {
        return Stream.generate(() -> new Fault.Short(7)).limit(times).toArray(Fault[]::new);
    }

    @Test
    void aConnectionThatStallsIsDropped() throws IOException {
        timeout = Duration.ofSeconds(1);
        server.fail(WEIGHTS, new Fault.Stall(50_000, 3000));
        verified(fetch(ID));
        assertTrue(said.stream().anyMatch(text -> text.contains("nothing came for 1 s")), said::toString);
    }

    @Test
    void serverFailuresAndTooManyRequestsAreWaitedFor() throws IOException {
        server.fail("list", new Fault.Status(503, Map.of()));
        server.fail("HEAD config.json", new Fault.Status(429, Map.of("Retry-After", "0")));
        server.fail(WEIGHTS, new Fault.Status(500, Map.of()), new Fault.Status(429, Map.of("Retry-After", "1")));
        long began = System.nanoTime();
        verified(fetch(ID));
        assertTrue(System.nanoTime() - began >= 1_000_000_000L);
        assertTrue(said.stream().anyMatch(text -> text.contains("(429), and asks to wait 1 s")), said::toString);
    }

    @Test
    void aWaitOfAnHourIsNotWaitedFor() {
        server.fail("list", new Fault.Status(429, Map.of("Retry-After", "3600")));
        assertTrue(failed(ID).getMessage().contains("asks to wait 3600 s"));
    }

    @Test
    void modelsThatMayNotBeReadAreToldApart() {
        refused("some-org/nothing", "there is no such model, or it is private or gated (401)");
        server.gated = true;
        refused(ID, "is gated (403)");
        server.gated = false;
        server.isPrivate = true;
        refused(ID, "set HF_TOKEN");
        fetch(ID, withToken());
        refused("some-org/nothing", withToken(), "there is no such model (404)");
    }

    @Test
    void theTokenGoesToTheEndpointAlone() {
        server.gated = true;
        fetch(ID, withToken());
        for (HubServer.Request request : server.requests) {
            assertEquals(
                    request.host().equals("cdn") ? "" : "Bearer " + HubServer.TOKEN,
                    request.authorization(),
                    request::toString);
        }
        assertTrue(server.requests.stream().anyMatch(r -> r.host().equals("cdn")));
    }

    @Test
    void theTokenIsInNoMessage() {
        server.fail(WEIGHTS, new Fault.Drop(0), new Fault.Flip(), new Fault.Flip());
        RuntimeException failure = assertThrows(HubException.class, () -> fetch(ID, withToken()));
        StringBuilder all = new StringBuilder(withToken().toString()).append(said);
        for (Throwable e = failure; e != null; e = e.getCause()) {
            all.append(e);
        }
        assertFalse(all.toString().contains(HubServer.TOKEN), all::toString);
        assertFalse(all.toString().contains("signature"), all::toString);
        InputException bad = assertThrows(InputException.class, () -> new HubSettings.Token("hf_x\u00e9cret"));
        assertFalse(bad.getMessage().contains("cret"), bad::getMessage);
    }

    @Test
    void offlineUsesTheCacheAndNothingElse() {
        HubSettings offline = settings(true, Optional.empty());
        assertTrue(assertThrows(InputException.class, () -> fetch(ID, offline))
                .getMessage()
                .contains("HF_HUB_OFFLINE"));
        Path online = fetch(ID);
        server.requests.clear();
        assertEquals(online, fetch(ID, offline));
        assertEquals(online, fetch(ID + "@" + COMMIT, offline));
        assertEquals(List.of(), server.requests);
    }

    @Test
    void aHubThatDoesNotAnswerLeavesTheCache() {
        Path online = fetch(ID);
        server.close();
        assertEquals(online, fetch(ID));
        assertTrue(said.getLast().contains("as it is in the cache"), said::toString);
        assertThrows(HubException.class, () -> fetch("some-org/other"));
    }

    @Test
    void aBlobOfAnotherSizeIsFetchedAgain() throws IOException {
        Path blobs = Files.createDirectories(cache().resolve("models--some-org--small_model/blobs"));
        Files.write(blobs.resolve(server.hash(WEIGHTS)), new byte[10]);
        verified(fetch(ID));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../config.json", "/etc/passwd", "a/../b", "a\\\\b", "C:x", "a//b", "x/.", ".."})
    void aListWithPathsIsRefused(String evil) {
        server.alsoListed.add(evil);
        refused(ID, "a path out of it");
        assertFalse(Files.exists(directory.resolve("config.json")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../evil.safetensors", "/tmp/evil.safetensors", "sub/evil.safetensors", "evil.bin"})
    void anIndexThatPointsElsewhereIsRefused(String shard) {
        server.remove(WEIGHTS);
        server.put(
                "model.safetensors.index.json",
                ("{\"weight_map\": {\"a\": \"" + shard + "\"}}").getBytes(StandardCharsets.UTF_8));
        refused(ID, shard);
    }

    @Test
    void anIndexOfAShardThatIsNotListedIsRefused() {
        server.remove(WEIGHTS);
        server.put(
                "model.safetensors.index.json",
                "{\"weight_map\": {\"a\": \"gone.safetensors\"}}".getBytes(StandardCharsets.UTF_8));
        refused(ID, "gone.safetensors, which the repository does not have");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "a/b/c", "../b", "a/..", "/a/b", "a\\b/c", "a/b c", "a--b/c", "a/b--c", "a", "", "a/", ".a/b", "a/b.git"
            })
    void whatIsNoNameIsAPath(String text) {
        assertEquals(Optional.empty(), HubName.parse(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a/b@", "a/b@../x", "a/b@/x", "a/b@x//y", "a/b@x y", "a/b@x/.git", "a/b@\n"})
    void whatIsNoRevisionIsRefused(String text) {
        assertThrows(InputException.class, () -> HubName.parse(text));
    }

    @Test
    void anEtagThatIsAPathIsRefused() {
        server.etag = Optional.of("../../evil");
        assertTrue(failed(ID).getMessage().contains("../../evil"));
    }

    /// A mirror's ETags: the list's hashes take their place, and name the blobs.
    @Test
    void anEtagThatIsNoHashGivesWayToTheListsHash() throws IOException {
        server.etag = Optional.of("x");
        verified(fetch(ID));
        assertEquals(List.of(), said);
    }

    @ParameterizedTest
    @ValueSource(strings = {WEIGHTS, "tokenizer.json"})
    void wrongBytesUnderAnEtagThatIsNoHashAreAnError(String file) {
        server.etag = Optional.of("x");
        server.fail(file, new Fault.Flip(), new Fault.Flip(), new Fault.Flip());
        String message = failed(ID).getMessage();
        assertTrue(message.contains(file + " is damaged") && message.contains(server.hash(file)), message);
    }

    @Test
    void redirectsInACircleAreNotTriedAgain() {
        server.fail(
                "HEAD config.json",
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle(),
                circle());
        assertTrue(failed(ID).getMessage().contains("from redirect to redirect"));
        long asked = server.requests.stream()
                .filter(r -> r.path().endsWith("/config.json"))
                .count();
        assertTrue(asked <= 11, asked + " requests");
    }

    private Fault circle() {
        String there = "/" + ID + "/resolve/" + HubServer.COMMIT + "/config.json";
        return new Fault.Status(302, Map.of("Location", there));
    }

    @Test
    void anEtagThatIsNoHashIsSaid() {
        server.listsHashes = false;
        server.etag = Optional.of("5f-1a");
        // one for all files: only sizes tell them apart, and they differ
        assertThrows(RuntimeException.class, () -> fetch(ID));
        assertTrue(said.stream().anyMatch(text -> text.contains("verified by its size alone")), said::toString);
    }

    @Test
    void anUnknownArchitectureIsToldBeforeItsWeightsAreFetched() {
        server.put("config.json", "{\"model_type\": \"gpt2\"}".getBytes(StandardCharsets.UTF_8));
        refused(ID, "model_type 'gpt2' is not supported");
        assertEquals(0, server.fetches(WEIGHTS));
    }

    @Test
    void aModelOfPicklesIsRefusedBeforeAnythingIsFetched() {
        server.remove(WEIGHTS);
        refused(ID, "only pickle files, such as pytorch_model.bin");
        assertEquals(1, server.requests.size());
    }

    @Test
    void aCopyOfTheModelIsPlainFiles() throws IOException {
        Path copy = directory.resolve("copy");
        try (HubClient client = client(settings())) {
            client.download(name(ID), copy);
        }
        try (Stream<Path> files = Files.list(copy)) {
            assertTrue(files.noneMatch(Files::isSymbolicLink));
        }
        ModelDirectory.open(copy).close();
    }

    @Test
    void aFullDiskIsAnErrorThatKeepsWhatCame() throws Exception {
        Path volume = Files.createDirectories(directory.resolve("volume"));
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", volume.toString()) == 0,
                "mounting a tmpfs is not permitted here");
        try {
            HubSettings small =
                    new HubSettings(settings().endpoint(), volume, Optional.empty(), false, timeout, Duration.ZERO);
            InputException before = assertThrows(InputException.class, () -> fetch(ID, small));
            assertTrue(before.getMessage().contains("bytes more, the disk of"), before::getMessage);
            // a disk that others fill midway: it seems large enough when asked
            server.put("tokenizer.json", new byte[0]);
            HubCache cache = new HubCache(volume, name(ID));
            HubDownload.Wanted wanted = new HubDownload.Wanted(
                    name(ID),
                    WEIGHTS,
                    URI.create(server.endpoint() + "/" + ID + "/resolve/main/" + WEIGHTS),
                    server.hash(WEIGHTS),
                    java.util.OptionalLong.of(server.file(WEIGHTS).length));
            try (HubHttp http = new HubHttp(small)) {
                HubDownload download = new HubDownload(http, small, HubListener.NONE);
                HubException midway = assertThrows(HubException.class, () -> download.fetch(wanted, cache));
                assertTrue(midway.getMessage().contains("cannot be written"), midway::getMessage);
                assertFalse(Files.exists(cache.blob(wanted.etag())));
                assertTrue(Files.size(cache.incomplete(wanted.etag())) > 0);
                assertEquals(0, run("mount", "-o", "remount,size=64m", volume.toString()));
                download.fetch(wanted, cache);
                assertArrayEquals(server.file(WEIGHTS), Files.readAllBytes(cache.blob(wanted.etag())));
            }
        } finally {
            run("umount", "-l", volume.toString());
        }
    }

    private static int run(String... command) throws Exception {
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
    }

    @Test
    void variablesMeanWhatThePythonClientTakesThemFor() throws IOException {
        Path home = directory.resolve("home");
        assertEquals(
                home.resolve(".cache/huggingface/hub"),
                HubSettings.of(Map.of(), home).cache());
        assertEquals(
                "https://huggingface.co",
                HubSettings.of(Map.of(), home).endpoint().toString());
        assertEquals(
                Path.of("/x/hub"), HubSettings.of(Map.of("HF_HOME", "/x"), home).cache());
        assertEquals(
                home.resolve("y"),
                HubSettings.of(Map.of("HF_HOME", "/x", "HF_HUB_CACHE", "~/y"), home)
                        .cache());
        assertEquals(
                Path.of("/c/huggingface/hub"),
                HubSettings.of(Map.of("XDG_CACHE_HOME", "/c"), home).cache());
        assertTrue(HubSettings.of(Map.of("HF_HUB_OFFLINE", "yes"), home).offline());
        assertFalse(HubSettings.of(Map.of("HF_HUB_OFFLINE", "0"), home).offline());
        Path token = home.resolve(".cache/huggingface/token");
        Files.createDirectories(token.getParent());
        Files.writeString(token, "hf_file\n");
        assertEquals("hf_file", HubSettings.of(Map.of(), home).token().get().secret());
        assertEquals(
                "hf_env",
                HubSettings.of(Map.of("HF_TOKEN", " hf_env "), home)
                        .token()
                        .get()
                        .secret());
        assertThrows(InputException.class, () -> HubSettings.of(Map.of("HF_ENDPOINT", "file:///x"), home));
    }

    // -- helpers --

    private Path cache() {
        return directory.resolve("cache");
    }

    private static HubName name(String text) {
        return HubName.parse(text).orElseThrow();
    }

    private HubSettings settings() {
        return settings(false, Optional.empty());
    }

    private HubSettings withToken() {
        return settings(false, Optional.of(new HubSettings.Token(HubServer.TOKEN)));
    }

    private HubSettings settings(boolean offline, Optional<HubSettings.Token> token) {
        return new HubSettings(URI.create(server.endpoint()), cache(), token, offline, timeout, Duration.ofMillis(1));
    }

    private HubClient client(HubSettings settings) {
        return new HubClient(settings, new HubListener() {
            @Override
            public void planned(int files, long bytes) {}

            @Override
            public void received(long bytes) {
                received.add(bytes);
            }

            @Override
            public void finished(String file, long bytes) {}

            @Override
            public void said(String message) {
                said.add(message);
            }
        });
    }

    private Path fetch(String text) {
        return fetch(text, settings());
    }

    private Path fetch(String text, HubSettings settings) {
        try (HubClient client = client(settings)) {
            return client.fetch(name(text), HubClient.Need.MODEL);
        }
    }

    private void verified(Path snapshot) throws IOException {
        assertArrayEquals(server.file(WEIGHTS), Files.readAllBytes(snapshot.resolve(WEIGHTS)));
        assertEquals(List.of(), leftovers());
    }

    private void refused(String text, String part) {
        refused(text, settings(), part);
    }

    private void refused(String text, HubSettings settings, String part) {
        InputException e = assertThrows(InputException.class, () -> fetch(text, settings));
        assertTrue(e.getMessage().contains(part), e::getMessage);
    }

    private HubException failed(String text) {
        return assertThrows(HubException.class, () -> fetch(text));
    }

    private List<String> leftovers() throws IOException {
        try (Stream<Path> blobs = Files.list(cache().resolve("models--some-org--small_model/blobs"))) {
            return blobs.map(p -> p.getFileName().toString())
                    .filter(n -> n.contains("incomplete"))
                    .toList();
        }
    }

    private long totalBytes() {
        Set<String> files = new TreeSet<>(ModelWriter.COPIED);
        files.add("config.json");
        files.add(WEIGHTS);
        return files.stream()
                .filter(file -> server.file(file) != null)
                .mapToLong(file -> server.file(file).length)
                .sum();
    }
}
