package org.sftnative.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class WebhookTest {
    private final List<String> bodies = Collections.synchronizedList(new ArrayList<>());
    private final List<String> complaints = new ArrayList<>();
    private final AtomicInteger failures = new AtomicInteger();
    private HttpServer server;

    @BeforeEach
    void listen() throws Exception {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            if (failures.getAndDecrement() > 0) {
                exchange.sendResponseHeaders(503, -1);
            } else {
                bodies.add(new String(body, StandardCharsets.UTF_8));
                exchange.sendResponseHeaders(204, -1);
            }
            exchange.close();
        });
        server.start();
    }

    @AfterEach
    void end() {
        server.stop(0);
    }

    private URI address() {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/hook");
    }

    @Test
    void alertsAreDeliveredAndAFailureIsTriedAgain() {
        failures.set(2);
        try (Webhook hook = new Webhook(address(), "run", complaints::add)) {
            hook.on(new RunEvent.Alerted(7, "loss_spike", "loss \"9\" is above"));
        }
        assertEquals(
                List.of("{\"run\":\"run\",\"step\":7,\"event\":\"alert\",\"kind\":\"loss_spike\","
                        + "\"message\":\"loss \\\"9\\\" is above\"}"),
                bodies);
        assertEquals(List.of(), complaints);
    }

    @Test
    void addressThatIsDeadNeitherBlocksNorIsHidden() {
        server.stop(0);
        long began = System.nanoTime();
        Webhook hook = new Webhook(address(), "run", complaints::add);
        for (int i = 0; i < 500; i++) {
            hook.on(new RunEvent.Alerted(i, "loss_spike", "x"));
        }
        assertTrue(System.nanoTime() - began < 1_000_000_000L, "posting must not wait");
        hook.on(new RunEvent.Alerted(1, "loss_spike", "x"));
        hook.close();
        assertTrue(System.nanoTime() - began < 40_000_000_000L, "closing must end");
        assertEquals(1, complaints.size());
        assertTrue(complaints.getFirst().matches("\\d+ messages were not taken by 127.0.0.1"), complaints.toString());
    }
}
