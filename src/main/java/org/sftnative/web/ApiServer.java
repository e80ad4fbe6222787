package org.sftnative.web;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.function.Function;
import org.sftnative.InputException;
import org.sftnative.config.ServeSettings;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The HTTP server: paths, who may ask, and the life of connections. An exchange has a virtual thread of its own.
public final class ApiServer implements AutoCloseable {
    private static final Set<String> PATHS =
            Set.of("/v1/chat/completions", "/v1/completions", "/v1/models", "/health", "/metrics");
    private static final int BODY_BYTES = 8 << 20;
    private static final int BACKLOG = 256;

    /// After this, a write that a client does not read ends the connection.
    static final long WRITE_NANOS = 20_000_000_000L;

    private final Map<String, ServedModel> models = new LinkedHashMap<>();
    private final Optional<byte[]> key;
    private final Traffic traffic = new Traffic();
    private final Completions completions;
    private final Consumer<Throwable> problems;
    private final Set<Wire> wires = ConcurrentHashMap.newKeySet();
    private final ExecutorService threads = Executors.newThreadPerTaskExecutor(
            Thread.ofVirtual().name("exchange-", 0).factory());
    private final Thread watch;
    private final HttpServer http;
    private volatile boolean closing;

    /// Starts it.
    ///
    /// @param models the first is the one that `/v1/models` lists first; closed by whoever made them
    /// @param problems hears what no client can be told
    /// @throws InputException if it cannot listen there
    public ApiServer(ServeSettings settings, List<ServedModel> models, Consumer<Throwable> problems) {
        models.forEach(model -> this.models.put(model.name(), model));
        this.problems = problems;
        key = settings.apiKey().map(text -> text.getBytes(StandardCharsets.UTF_8));
        completions = new Completions(traffic, settings.maxNewTokens());
        // read once by the JDK's server; a client that says nothing must not hold a connection for ever
        setDefault("sun.net.httpserver.maxReqTime", "60");
        setDefault("sun.net.httpserver.nodelay", "true"); // else a token waits for the last one's ACK, 40 ms
        setDefault("jdk.httpserver.maxConnections", "2000");
        InetSocketAddress address = new InetSocketAddress(settings.host(), settings.port());
        try {
            http = HttpServer.create(address, BACKLOG);
        } catch (IOException | IllegalArgumentException e) {
            throw new InputException(
                    "cannot listen on " + settings.host() + ":" + settings.port() + ": " + e.getMessage()
                            + "\n  another program may: give another --port",
                    e);
        }
        http.setExecutor(threads);
        http.createContext("/", this::exchange);
        watch = Thread.ofVirtual().name("watch").start(this::watch);
        http.start();
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }

    /// Where it listens.
    public int port() {
        return http.getAddress().getPort();
    }

    /// Lets requests that are being answered go on for some time and takes on no others, then ends them, then itself.
    public void close(int graceSeconds) {
        closing = true;
        awaitIdle(graceSeconds);
        models.values().stream().map(ServedModel::engine).distinct().forEach(Engine::close);
        awaitIdle(2); // they hear that it is over
        http.stop(0);
        watch.interrupt();
        threads.shutdownNow();
        completions.close();
    }

    @Override
    public void close() {
        close(0);
    }

    private void awaitIdle(int seconds) {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        try {
            while (traffic.active() > 0 && System.nanoTime() < end) {
                Thread.sleep(20);
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private void watch() {
        try {
            while (true) {
                Thread.sleep(500);
                wires.forEach(wire -> wire.cutAfter(WRITE_NANOS));
            }
        } catch (InterruptedException _) {
            // closed
        }
    }

    private void exchange(HttpExchange exchange) throws IOException {
        traffic.begun();
        Wire wire = new Wire(exchange);
        wires.add(wire);
        String path = exchange.getRequestURI().getPath();
        try {
            try {
                answer(exchange, path == null ? "" : path, wire);
            } catch (ApiException e) {
                if (wire.begun()) {
                    throw new IOException(e.getMessage(), e); // the status is out: only the connection can say it
                }
                e.headers().forEach(exchange.getResponseHeaders()::set);
                wire.reply(e.status(), e.json());
            } catch (InterruptedException e) {
                throw new IOException("the client does not read", e);
            } catch (IOException e) {
                throw e;
            } catch (Throwable e) {
                problems.accept(e);
                if (wire.begun()) {
                    throw new IOException(e);
                }
                wire.reply(
                        500,
                        ApiException.failed("the server failed, see its log").json());
            }
            exchange.close();
        } finally {
            wires.remove(wire);
            int status = exchange.getResponseCode();
            traffic.done(PATHS.contains(path) ? path : "other", status < 0 ? 499 : status); // 499: it went away
        }
    }

    private void answer(HttpExchange exchange, String path, Wire wire) throws IOException, InterruptedException {
        if (!path.equals("/health")) {
            admit(exchange, path);
        }
        switch (path) {
            case "/v1/chat/completions" -> complete(exchange, RequestReader::chat, wire);
            case "/v1/completions" -> complete(exchange, RequestReader::text, wire);
            case "/v1/models" -> {
                method(exchange, "GET");
                ObjectNode list = JsonNodeFactory.instance.objectNode().put("object", "list");
                ArrayNode data = list.putArray("data");
                models.values().forEach(model -> data.add(json(model)));
                wire.reply(200, list);
            }
            case "/health" -> {
                method(exchange, "GET");
                boolean well = !closing
                        && models.values().stream().allMatch(m -> m.engine().healthy());
                wire.reply(
                        well ? 200 : 503,
                        JsonNodeFactory.instance
                                .objectNode()
                                .put("status", well ? "ok" : closing ? "closing" : "failed"));
            }
            case "/metrics" -> {
                method(exchange, "GET");
                wire.reply(
                        200,
                        "text/plain; version=0.0.4; charset=utf-8",
                        traffic.text(models.values()).getBytes(StandardCharsets.UTF_8));
            }
            default -> {
                if (!path.startsWith("/v1/models/")) {
                    throw ApiException.request(404, "not_found", "nothing is at " + Shown.of(path));
                }
                method(exchange, "GET");
                wire.reply(200, json(model(path.substring("/v1/models/".length()))));
            }
        }
    }

    private void complete(HttpExchange exchange, Function<ObjectNode, CompletionRequest> reader, Wire wire)
            throws IOException, InterruptedException {
        method(exchange, "POST");
        String type = Optional.ofNullable(exchange.getRequestHeaders().getFirst("Content-Type"))
                .orElse("");
        // a page of another site can make a browser post text, but not JSON
        if (!type.split(";")[0].strip().equalsIgnoreCase("application/json")) {
            throw ApiException.request(415, "unsupported_media_type", "send Content-Type: application/json");
        }
        if (closing) {
            throw ApiException.closing();
        }
        CompletionRequest request = reader.apply(JsonBody.read(exchange.getRequestBody(), BODY_BYTES));
        completions.answer(request, model(request.model()), wire);
    }

    private ServedModel model(String name) {
        ServedModel model = models.get(name);
        if (model == null) {
            throw ApiException.noModel(name, String.join(", ", models.keySet()));
        }
        return model;
    }

    private static ObjectNode json(ServedModel model) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("id", model.name())
                .put("object", "model")
                .put("created", model.created().getEpochSecond())
                .put("owned_by", "sft-native");
    }

    private static void method(HttpExchange exchange, String wanted) {
        String method = exchange.getRequestMethod();
        if (!method.equals(wanted) && !(wanted.equals("GET") && method.equals("HEAD"))) {
            throw ApiException.method(wanted);
        }
    }

    /// With a key, whoever has it; counts are for this machine too. Without one the server listens on loopback only,
    /// and a browser must not be led there by another site's name.
    private void admit(HttpExchange exchange, String path) {
        if (key.isEmpty()) {
            String host = Optional.ofNullable(exchange.getRequestHeaders().getFirst("Host"))
                    .orElse("localhost");
            if (!host.matches("(?i)(localhost|127(\\.\\d{1,3}){3}|\\[::1\\])(:\\d{1,5})?")) {
                throw ApiException.request(
                        403, "forbidden_host", "without an API key, only localhost is answered, not " + Shown.of(host));
            }
            return;
        }
        String given = Optional.ofNullable(exchange.getRequestHeaders().getFirst("Authorization"))
                .orElse("");
        boolean known = given.regionMatches(true, 0, "Bearer ", 0, 7)
                && MessageDigest.isEqual(key.get(), given.substring(7).strip().getBytes(StandardCharsets.UTF_8));
        boolean local = exchange.getRemoteAddress().getAddress().isLoopbackAddress();
        if (!known && !(path.equals("/metrics") && local)) {
            throw ApiException.key();
        }
    }
}
