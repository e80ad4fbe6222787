package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.sftnative.support.LivePointers;
import tools.jackson.databind.JsonNode;

/// 32 clients at once: some read whole answers, some streams, some slowly, some go away, some send nonsense. Every
/// answer that is read is the one that the same request has alone, and nothing is left over.
class ServeLoadTest {
    private static final int CLIENTS = 32;
    private static final String PATH = "/v1/completions";
    private static final String[] PROMPTS = {"The", "What is", "水", "Name three", "A", "Add 2 and"};

    private final LongAdder whole = new LongAdder();
    private final LongAdder streamed = new LongAdder();
    private final LongAdder slow = new LongAdder();
    private final LongAdder left = new LongAdder();
    private final LongAdder refused = new LongAdder();

    @Test
    void nothingIsLostOrLeftInFiveSeconds() throws Exception {
        load(5);
    }

    @Test
    @Tag("slow")
    void nothingIsLostOrLeftInAMinute() throws Exception {
        load(60);
    }

    private void load(int seconds) throws Exception {
        try (Served served = new Served("generation_batch_size=16")) {
            List<String> bodies = new ArrayList<>();
            List<String> expected = new ArrayList<>();
            for (int i = 0; i < PROMPTS.length * 2; i++) {
                bodies.add(Served.text(
                        PROMPTS[i % PROMPTS.length],
                        "\"max_tokens\": 40",
                        "\"temperature\": " + i % 2,
                        "\"seed\": " + i));
                expected.add(answer(served.post(PATH, bodies.get(i)).json()));
            }
            round(served, bodies, expected, 1); // classes, pools
            State before = state(served);
            long began = System.nanoTime();
            round(served, bodies, expected, seconds);
            double took = (System.nanoTime() - began) / 1e9;
            State after = state(served);
            long tokens = served.metric("sft_answer_tokens_total");
            System.out.printf(
                    "serve, %d clients, %.0f s: %d whole, %d streams, %d slow, %d left, %d refused, %.0f tokens/s;"
                            + " before %s, after %s%n",
                    CLIENTS,
                    took,
                    whole.sum(),
                    streamed.sum(),
                    slow.sum(),
                    left.sum(),
                    refused.sum(),
                    tokens / took,
                    before,
                    after);
            assertEquals(List.of(), served.problems);
            assertEquals(before.pointers(), after.pointers(), "native objects");
            assertTrue(after.threads() <= before.threads() + 16, before + " " + after);
            assertTrue(after.heap() < before.heap() + (8 << 20), before + " " + after);
            assertTrue(whole.sum() > 0 && streamed.sum() > 0 && slow.sum() > 0 && left.sum() > 0 && refused.sum() > 0);
        }
    }

    /// @param heap bytes that live after a collection
    private record State(long pointers, int threads, long heap) {}

    private static State state(Served served) throws Exception {
        ServeTest.until(() -> served.metric("sft_requests_active") == 1
                && served.metric("sft_kv_tokens_used") == 0
                && served.metric("sft_texts_running") == 0
                && served.metric("sft_queue_waiting") == 0);
        long pointers = LivePointers.settled();
        Runtime runtime = Runtime.getRuntime();
        return new State(pointers, platformThreads(), runtime.totalMemory() - runtime.freeMemory());
    }

    private static int platformThreads() {
        // carriers of virtual threads come and go
        return (int) Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> !thread.getName().startsWith("ForkJoinPool"))
                .count();
    }

    private void round(Served served, List<String> bodies, List<String> expected, int seconds) throws Exception {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        try (ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> all = new ArrayList<>();
            for (int c = 0; c < CLIENTS; c++) {
                int client = c;
                all.add(clients.submit(() -> {
                    for (int turn = client; System.nanoTime() < end; turn++) {
                        int i = turn % bodies.size();
                        talk(served, client % 8, bodies.get(i), expected.get(i));
                    }
                    return null;
                }));
            }
            for (Future<?> one : all) {
                one.get();
            }
        }
    }

    private void talk(Served served, int kind, String body, String expected) throws Exception {
        String streaming = body.substring(0, body.length() - 1) + ",\"stream\":true}";
        switch (kind) {
            case 0, 1, 2 -> {
                Served.Reply reply = served.post(PATH, body);
                assertEquals(200, reply.status(), reply.body());
                assertEquals(expected, answer(reply.json()));
                whole.increment();
            }
            case 3, 4 -> {
                assertEquals(expected, joined(served.post(PATH, streaming)));
                streamed.increment();
            }
            case 5 -> {
                try (Socket socket = open(served, streaming)) {
                    String said = new String(slowly(socket.getInputStream()), StandardCharsets.UTF_8);
                    assertTrue(said.contains("data: [DONE]"), said);
                }
                slow.increment();
            }
            case 6 -> {
                String long_ = streaming.replace("\"max_tokens\":40", "\"max_tokens\":900,\"n\":2");
                try (Socket socket = open(served, long_)) {
                    socket.getInputStream().readNBytes(100);
                }
                left.increment();
            }
            default -> {
                Served.Reply reply = served.post(PATH, body.replace("\"seed\"", "\"sede\""));
                assertEquals(400, reply.status());
                refused.increment();
                Thread.sleep(20);
            }
        }
    }

    private static Socket open(Served served, String body) throws Exception {
        Socket socket = new Socket("127.0.0.1", served.server.port());
        ServeTest.send(socket, body);
        return socket;
    }

    private static byte[] slowly(InputStream in) throws Exception {
        var all = new java.io.ByteArrayOutputStream();
        byte[] some = new byte[512];
        for (int n = in.read(some); n >= 0; n = in.read(some)) {
            all.write(some, 0, n);
            Thread.sleep(20);
        }
        return all.toByteArray();
    }

    private static String answer(JsonNode reply) {
        return reply.path("choices").get(0).get("text").stringValue();
    }

    private static String joined(Served.Reply reply) {
        return Served.events(reply).stream().map(ServeLoadTest::answer).collect(Collectors.joining());
    }
}
