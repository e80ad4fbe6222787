package org.sftnative.web;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.sftnative.InputException;
import org.sftnative.metrics.ReportPage;
import org.sftnative.metrics.RunHistory;

/// The live page of a run: the report's charts, drawn anew as the run's files grow, and buttons that save or stop it
/// through the files that it looks for (`OUT/save`, `OUT/stop`). It reads files only, so it serves a finished run, or
/// one of another process, as well.
///
/// On loopback whoever is on this machine may look; the buttons need the token that the page carries, which a page of
/// another site cannot read. On any other address everything needs the token, which the printed address has in it.
public final class LivePage implements AutoCloseable {
    private static final Duration LOOK = Duration.ofMillis(500);
    /// A comment in the stream now and then: a reader that is gone is noticed.
    private static final int BEAT = 6;

    private final Path output;
    private final HttpServer server;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final String token;
    private final boolean loopback;
    private final String host;
    private final AtomicInteger readers = new AtomicInteger();
    private volatile boolean closed;

    /// Serves the page at once.
    ///
    /// @param output the run's output directory; it may be empty yet
    /// @param host `127.0.0.1`, or an address of this machine that others reach
    /// @param port 0: one that is free
    /// @throws InputException if the address is not this machine's, or the port is taken
    public LivePage(Path output, String host, int port) {
        this.output = output;
        this.host = host;
        byte[] random = new byte[16];
        new SecureRandom().nextBytes(random);
        token = Base64.getUrlEncoder().withoutPadding().encodeToString(random);
        try {
            InetAddress address = InetAddress.getByName(host);
            loopback = address.isLoopbackAddress();
            server = HttpServer.create(new InetSocketAddress(address, port), 0);
        } catch (UnknownHostException e) {
            throw new InputException("dashboard_host '" + host + "' is no address", e);
        } catch (IOException e) {
            throw new InputException(
                    "the page cannot be served on " + host + ":" + port + ": " + e.getMessage()
                            + "\n  port 0 is a free one",
                    e);
        }
        server.setExecutor(threads);
        server.createContext("/", this::answer);
        server.start();
    }

    /// Where the page is, with the token where it is needed.
    public URI address() {
        String reached = server.getAddress().getAddress().isAnyLocalAddress() ? thisMachine() : host;
        String name = reached.contains(":") ? "[" + reached + "]" : reached;
        return URI.create(
                "http://" + name + ":" + server.getAddress().getPort() + "/" + (loopback ? "" : "?token=" + token));
    }

    /// Its name, for an address that stands for all of its own.
    private static String thisMachine() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "localhost";
        }
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            if (!knownHost(exchange) || !loopback && !authorised(exchange)) {
                send(exchange, 403, "text/plain", "the address or its token is not the one that was printed\n");
                return;
            }
            String path = exchange.getRequestURI().getPath();
            String request = exchange.getRequestMethod() + " " + path;
            switch (request) {
                case "GET /" -> send(exchange, 200, "text/html", ReportPage.live(token));
                case "GET /events" -> events(exchange);
                case "POST /save", "POST /stop" -> ask(exchange, path.substring(1));
                default ->
                    send(exchange, path.matches("/|/events|/save|/stop") ? 405 : 404, "text/plain", "not here\n");
            }
        }
    }

    /// A name that another site gave this address (DNS rebinding) is not ours.
    private boolean knownHost(HttpExchange exchange) {
        String name = Optional.ofNullable(exchange.getRequestHeaders().getFirst("Host"))
                .orElse("");
        int port = server.getAddress().getPort();
        return !loopback
                || List.of("127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port, host + ":" + port)
                        .contains(name);
    }

    private boolean authorised(HttpExchange exchange) {
        String header = exchange.getRequestHeaders().getFirst("X-Token");
        String query = Optional.ofNullable(exchange.getRequestURI().getQuery()).orElse("");
        String given = header != null ? header : query.startsWith("token=") ? query.substring(6) : "";
        return MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), token.getBytes(StandardCharsets.UTF_8));
    }

    private void ask(HttpExchange exchange, String what) throws IOException {
        String origin = exchange.getRequestHeaders().getFirst("Origin");
        String own = "http://" + exchange.getRequestHeaders().getFirst("Host");
        if (exchange.getRequestHeaders().getFirst("X-Token") == null
                || !authorised(exchange)
                || origin != null && !origin.equals(own)) {
            send(exchange, 403, "text/plain", "only the page itself may ask\n");
            return;
        }
        Optional<String> state = RunHistory.read(output).map(RunHistory::state);
        if (state.filter("running"::equals).isEmpty()) {
            send(exchange, 409, "text/plain", "the run " + state.orElse("has not begun") + "\n");
            return;
        }
        Path file = output.resolve(what);
        if (!Files.exists(file)) {
            Files.createFile(file);
        }
        send(exchange, 202, "text/plain", "asked\n");
    }

    /// Server-sent events: the run whenever its files have changed, and once more when it is over.
    private void events(HttpExchange exchange) throws IOException {
        if (!authorised(exchange)) {
            send(exchange, 403, "text/plain", "only the page itself may ask\n");
            return;
        }
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.getResponseHeaders().set("Cache-Control", "no-store");
        exchange.sendResponseHeaders(200, 0);
        OutputStream out = exchange.getResponseBody();
        readers.incrementAndGet();
        try {
            String seen = "";
            boolean last;
            int quiet = 0;
            Duration pause = LOOK;
            do {
                last = closed;
                String now = stamp();
                quiet++;
                if (!now.equals(seen)) {
                    seen = now;
                    quiet = 0;
                    long began = System.nanoTime();
                    write(out, news());
                    // a long run's file takes a while to read, and the run needs the processor
                    pause = Duration.ofNanos(Math.max(LOOK.toNanos(), 10 * (System.nanoTime() - began)));
                } else if (quiet % BEAT == 0) {
                    write(out, ": beat\n\n");
                }
                if (!last) {
                    rest(pause);
                }
            } while (!last);
            write(out, "event: end\ndata: {}\n\n");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            readers.decrementAndGet();
        }
    }

    /// Sleeps, but not beyond the end.
    private void rest(Duration pause) throws InterruptedException {
        for (long left = pause.toMillis(); left > 0 && !closed; left -= LOOK.toMillis()) {
            Thread.sleep(Math.min(left, LOOK.toMillis()));
        }
    }

    private String news() {
        try {
            return RunHistory.read(output)
                    .map(run -> "event: runs\ndata: " + ReportPage.data(List.of(run)) + "\n\n")
                    .orElse(": nothing yet\n\n");
        } catch (UncheckedIOException e) {
            return ": " + e.getMessage().replace('\n', ' ') + "\n\n";
        }
    }

    /// Pages that are being told now.
    int readers() {
        return readers.get();
    }

    private static void write(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    /// Changes when a file of the run does.
    private String stamp() throws IOException {
        StringBuilder stamp = new StringBuilder();
        for (String name : List.of("metrics.jsonl", "events.jsonl")) {
            Path file = output.resolve(name);
            if (Files.exists(file)) {
                stamp.append(Files.size(file))
                        .append(' ')
                        .append(Files.getLastModifiedTime(file).toMillis());
            }
            stamp.append('/');
        }
        return stamp.toString();
    }

    private static void send(HttpExchange exchange, int status, String type, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type + "; charset=utf-8");
        exchange.getResponseHeaders().set("Cache-Control", "no-store");
        exchange.getResponseHeaders().set("X-Content-Type-Options", "nosniff");
        exchange.getResponseHeaders()
                .set(
                        "Content-Security-Policy",
                        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self';"
                                + " img-src data:; frame-ancestors 'none'");
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    /// Tells the pages that the run is over, and stops.
    @Override
    public void close() {
        closed = true;
        server.stop(1);
        threads.close();
    }
}
