package org.sftnative.support;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// A Hub of one model, as far as a download sees it: the list of files, what HEAD says of each, LFS
/// files behind a redirect to another host with a signature in its query. What goes wrong is queued
/// by file.
public final class HubServer implements AutoCloseable {
    public static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";
    public static final String TOKEN = "hf_secretOfTheTest";

    /// What goes wrong with one answer.
    public sealed interface Fault {
        /// The connection ends after so many bytes.
        record Drop(int after) implements Fault {}

        /// One byte of the content is another.
        record Flip() implements Fault {}

        /// The content with its last bytes missing, and a length that says so.
        record Short(int by) implements Fault {}

        /// A status, with headers.
        record Status(int code, Map<String, String> headers) implements Fault {}

        /// The whole, though a part was asked for.
        record NoRanges() implements Fault {}

        /// Nothing comes after so many bytes, for a while.
        record Stall(int after, int millis) implements Fault {}

        /// The content in small pieces, with pauses.
        record Slow(int pieces, int millis) implements Fault {}
    }

    /// @param host `api` or `cdn`
    /// @param authorization what came in that header; empty if it did not
    public record Request(String host, String method, String path, String authorization, String range) {}

    private final String id;
    private final Map<String, byte[]> files = new TreeMap<>();
    private final HttpServer api;
    private final HttpServer cdn;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Map<String, Queue<Fault>> faults = new ConcurrentHashMap<>();

    public final List<Request> requests = new CopyOnWriteArrayList<>();
    /// Names that the list has beside the files.
    public final List<String> alsoListed = new CopyOnWriteArrayList<>();
    /// Whether only the token opens the files.
    public volatile boolean gated;
    /// Whether the model is to be seen with the token alone.
    public volatile boolean isPrivate;
    /// Whether the list has hashes and sizes, if it is asked for them; a mirror's may not.
    public volatile boolean listsHashes = true;
    /// What HEAD says in place of the hash.
    public volatile Optional<String> etag = Optional.empty();

    public HubServer(String id, Path model) throws IOException {
        this.id = id;
        try (Stream<Path> all = Files.list(model)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                files.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        }
        api = start("api");
        cdn = start("cdn");
    }

    private HttpServer start(String host) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 50);
        server.setExecutor(threads);
        server.createContext("/", exchange -> {
            try (exchange) {
                requests.add(new Request(
                        host,
                        exchange.getRequestMethod(),
                        exchange.getRequestURI().getRawPath(),
                        header(exchange, "Authorization"),
                        header(exchange, "Range")));
                if (host.equals("cdn")) {
                    content(exchange, exchange.getRequestURI().getPath().substring(1));
                } else {
                    answer(exchange);
                }
            }
        });
        server.start();
        return server;
    }

    private static String header(HttpExchange exchange, String name) {
        return Optional.ofNullable(exchange.getRequestHeaders().getFirst(name)).orElse("");
    }

    /// What HF_ENDPOINT is to be.
    public String endpoint() {
        return "http://127.0.0.1:" + api.getAddress().getPort();
    }

    public HubServer put(String file, byte[] content) {
        files.put(file, content);
        return this;
    }

    public HubServer remove(String file) {
        files.remove(file);
        return this;
    }

    public byte[] file(String name) {
        return files.get(name);
    }

    /// The next answers with a file's content, or, for `list` and `HEAD file`, those, go wrong so.
    public HubServer fail(String what, Fault... these) {
        faults.computeIfAbsent(what, _ -> new ConcurrentLinkedQueue<>()).addAll(Arrays.asList(these));
        return this;
    }

    /// Requests for a file's content.
    public long fetches(String file) {
        return requests.stream()
                .filter(r -> r.method().equals("GET") && r.path().endsWith("/" + file))
                .filter(r -> r.host().equals(isLfs(file) ? "cdn" : "api"))
                .count();
    }

    private Optional<Fault> fault(String what) {
        return Optional.ofNullable(faults.get(what)).map(Queue::poll);
    }

    private static boolean isLfs(String file) {
        return file.endsWith(".safetensors") || file.endsWith(".bin");
    }

    private void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        boolean known = header(exchange, "Authorization").equals("Bearer " + TOKEN);
        String list = "/api/models/" + id + "/revision/";
        if (path.equals("/api/models/" + id + "/tree/" + COMMIT)) { // huggingface_hub asks for it, we do not
            json(exchange, files.keySet().stream().map(this::entry).collect(Collectors.joining(",", "[", "]")));
            return;
        }
        if (!path.startsWith("/" + id + "/") && !path.startsWith(list) || isPrivate && !known) {
            error(exchange, known ? 404 : 401, "RepoNotFound");
            return;
        }
        String revision = path.startsWith(list) ? path.substring(list.length()) : path.split("/")[4];
        if (!List.of("main", "v1", "refs/pr/1", COMMIT).contains(revision)) {
            error(exchange, 404, "RevisionNotFound");
            return;
        }
        if (path.startsWith(list)) {
            list(exchange);
            return;
        }
        String file = path.split("/", 6)[5];
        if (!files.containsKey(file)) {
            error(exchange, 404, "EntryNotFound");
            return;
        }
        if (gated && !known) {
            error(exchange, 403, "GatedRepo");
            return;
        }
        boolean head = exchange.getRequestMethod().equals("HEAD");
        if (head && fault("HEAD " + file).orElse(null) instanceof Fault.Status status) {
            status(exchange, status);
            return;
        }
        String tag = etag.orElse(hash(file));
        exchange.getResponseHeaders().set("X-Repo-Commit", COMMIT);
        if (isLfs(file)) {
            exchange.getResponseHeaders().set("X-Linked-Etag", "\"" + tag + "\"");
            exchange.getResponseHeaders().set("X-Linked-Size", Integer.toString(files.get(file).length));
            exchange.getResponseHeaders().set("ETag", "\"of-the-redirect\"");
            exchange.getResponseHeaders()
                    .set(
                            "Location",
                            "http://localhost:" + cdn.getAddress().getPort() + "/" + file + "?signature=deadbeef");
            exchange.sendResponseHeaders(302, -1);
        } else if (head) {
            exchange.getResponseHeaders().set("ETag", "\"" + tag + "\"");
            exchange.getResponseHeaders().set("Content-Length", Integer.toString(files.get(file).length));
            exchange.sendResponseHeaders(200, -1);
        } else {
            exchange.getResponseHeaders().set("ETag", "\"" + tag + "\"");
            content(exchange, file);
        }
    }

    private void list(HttpExchange exchange) throws IOException {
        if (fault("list").orElse(null) instanceof Fault.Status status) {
            status(exchange, status);
            return;
        }
        boolean hashes =
                listsHashes && "blobs=true".equals(exchange.getRequestURI().getQuery());
        String siblings = Stream.concat(files.keySet().stream(), alsoListed.stream())
                .map(name -> "{\"rfilename\":\"" + name.replace("\\", "\\\\").replace("\0", "\\u0000") + "\""
                        + (hashes && files.containsKey(name) ? listed(name) : "") + "}")
                .collect(Collectors.joining(","));
        json(exchange, "{\"id\":\"" + id + "\",\"sha\":\"" + COMMIT + "\",\"siblings\":[" + siblings + "]}");
    }

    private String listed(String file) {
        int size = files.get(file).length;
        return ",\"size\":" + size
                + (isLfs(file)
                        ? ",\"blobId\":\"" + COMMIT + "\",\"lfs\":{\"sha256\":\"" + hash(file) + "\",\"size\":" + size
                                + ",\"pointerSize\":130}"
                        : ",\"blobId\":\"" + hash(file) + "\"");
    }

    private String entry(String file) {
        int size = files.get(file).length;
        String lfs = isLfs(file)
                ? ",\"lfs\":{\"oid\":\"" + hash(file) + "\",\"size\":" + size + ",\"pointerSize\":130}"
                : "";
        return "{\"type\":\"file\",\"path\":\"" + file + "\",\"size\":" + size + ",\"oid\":\""
                + (isLfs(file) ? COMMIT : hash(file)) + "\"" + lfs + "}";
    }

    private static void json(HttpExchange exchange, String text) throws IOException {
        byte[] json = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, json.length);
        exchange.getResponseBody().write(json);
    }

    private void error(HttpExchange exchange, int code, String what) throws IOException {
        status(exchange, new Fault.Status(code, Map.of("X-Error-Code", what)));
    }

    private static void status(HttpExchange exchange, Fault.Status status) throws IOException {
        status.headers().forEach(exchange.getResponseHeaders()::set);
        exchange.sendResponseHeaders(status.code(), -1);
    }

    private void content(HttpExchange exchange, String file) throws IOException {
        Fault fault = fault(file).orElse(new Fault.Drop(Integer.MAX_VALUE));
        if (fault instanceof Fault.Status status) {
            status(exchange, status);
            return;
        }
        byte[] bytes = files.get(file).clone();
        if (fault instanceof Fault.Flip) {
            bytes[bytes.length / 2] ^= 1;
        }
        if (fault instanceof Fault.Short(int by)) {
            bytes = Arrays.copyOf(bytes, bytes.length - by);
        }
        String range = header(exchange, "Range");
        int from = 0;
        if (!range.isEmpty() && !(fault instanceof Fault.NoRanges)) {
            from = Integer.parseInt(range.replaceAll("bytes=(\\d+)-", "$1"));
            if (from >= bytes.length) {
                exchange.sendResponseHeaders(416, -1);
                return;
            }
            exchange.getResponseHeaders()
                    .set("Content-Range", "bytes " + from + "-" + (bytes.length - 1) + "/" + bytes.length);
        }
        int length = bytes.length - from;
        exchange.sendResponseHeaders(from > 0 ? 206 : 200, length == 0 ? -1 : length);
        switch (fault) {
            case Fault.Drop(int after) -> exchange.getResponseBody().write(bytes, from, Math.min(length, after));
            case Fault.Stall(int after, int millis) -> {
                exchange.getResponseBody().write(bytes, from, Math.min(length, after));
                exchange.getResponseBody().flush();
                pause(millis);
            }
            case Fault.Slow(int pieces, int millis) -> {
                for (int i = 0; i < pieces; i++) {
                    int begin = (int) ((long) length * i / pieces);
                    int end = (int) ((long) length * (i + 1) / pieces);
                    exchange.getResponseBody().write(bytes, from + begin, end - begin);
                    exchange.getResponseBody().flush();
                    pause(millis);
                }
            }
            default -> exchange.getResponseBody().write(bytes, from, length);
        }
    }

    private static void pause(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// The hash that the Hub gives for a file.
    public String hash(String file) {
        byte[] bytes = files.get(file);
        try {
            if (isLfs(file)) {
                return HexFormat.of()
                        .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
            }
            MessageDigest git = MessageDigest.getInstance("SHA-1");
            git.update(("blob " + bytes.length + "\0").getBytes(StandardCharsets.US_ASCII));
            return HexFormat.of().formatHex(git.digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new UncheckedIOException(new IOException(e));
        }
    }

    @Override
    public void close() {
        api.stop(0);
        cdn.stop(0);
        threads.shutdownNow();
    }
}
