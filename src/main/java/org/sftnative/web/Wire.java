package org.sftnative.web;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;

/// What is written to one client, by the thread of its exchange. A write blocks while the client does not read; whoever
/// watches may ask since when, and interrupt that thread, which closes the connection.
final class Wire {
    private static final long NOT = Long.MIN_VALUE;

    private final HttpExchange exchange;
    private final Thread thread = Thread.currentThread();
    private volatile long since = NOT;
    private volatile boolean cut;
    private boolean begun;

    Wire(HttpExchange exchange) {
        this.exchange = exchange;
    }

    /// Whether a status has been sent.
    boolean begun() {
        return begun;
    }

    /// Sends a reply that is whole.
    void reply(int status, String type, byte[] body) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", type);
        boolean empty = exchange.getRequestMethod().equals("HEAD");
        head(status, empty ? -1 : body.length);
        if (!empty) {
            write(body);
        }
    }

    void reply(int status, JsonNode body) throws IOException {
        reply(status, "application/json", JsonBody.JSON.writeValueAsBytes(body));
    }

    /// Begins a reply whose length is not known.
    void begin(String type) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.getResponseHeaders().set("Cache-Control", "no-store");
        head(200, 0);
    }

    private void head(int status, long length) throws IOException {
        begun = true;
        since = System.nanoTime();
        exchange.sendResponseHeaders(status, length);
        since = NOT;
    }

    /// Sends bytes at once.
    void write(byte[] bytes) throws IOException {
        OutputStream out = exchange.getResponseBody();
        since = System.nanoTime();
        out.write(bytes);
        out.flush();
        since = NOT;
    }

    /// Sends an event of a stream.
    void event(String data) throws IOException {
        write(("data: " + data + "\n\n").getBytes(StandardCharsets.UTF_8));
    }

    void event(JsonNode data) throws IOException {
        event(JsonBody.JSON.writeValueAsString(data));
    }

    /// Closes the connection if a write has been blocked for so long.
    void cutAfter(long nanos) {
        long began = since;
        if (!cut && began != NOT && System.nanoTime() - began >= nanos) {
            cut = true;
            thread.interrupt();
        }
    }

    /// Whether it was closed so.
    boolean wasCut() {
        return cut;
    }
}
