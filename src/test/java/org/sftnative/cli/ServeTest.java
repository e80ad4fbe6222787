package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.OutputStream;
import java.lang.reflect.Proxy;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.web.ApiServer;
import org.sftnative.web.ServedModel;
import tools.jackson.databind.JsonNode;

/// OpenAI's interface over a real socket.
class ServeTest {
    private static final String CHAT = "/v1/chat/completions";
    private static final String TEXT = "/v1/completions";
    private static final Served SERVED = new Served();

    @TempDir
    static Path shared;

    private static Path endless;

    @BeforeAll
    static void copy() throws Exception {
        endless = Served.endless(shared);
    }

    @TempDir
    Path dir;

    @AfterAll
    static void close() {
        SERVED.close();
    }

    /// Whatever a test did, nothing of it goes on.
    @AfterEach
    void nothingIsLeft() throws Exception {
        until(() -> SERVED.model.engine().running() == 0
                && SERVED.model.engine().waiting() == 0
                && SERVED.model.engine().reservedTokens() == 0);
        assertEquals(List.of(), SERVED.problems);
    }

    static void until(Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, "not within 20 s");
            Thread.sleep(10);
        }
    }

    @Test
    void anIdBeyondTheVocabularyIsTheFaultOfThePrompt() throws Exception {
        Served.Reply reply = SERVED.post(TEXT, "{\"model\": \"base\", \"prompt\": [1, 1000000]}");
        assertEquals(400, reply.status(), reply.body());
        assertEquals("prompt", reply.param());
        assertEquals("invalid_value", reply.code());
    }

    /// A tokenizer is native code, which a virtual thread cannot leave.
    @Test
    void longPromptsHoldUpNobody() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        AtomicInteger busy = new AtomicInteger();
        Served own = new Served();
        ServedModel slow = (ServedModel) Proxy.newProxyInstance(
                ServedModel.class.getClassLoader(), new Class<?>[] {ServedModel.class}, (_, method, args) -> {
                    if (method.getName().equals("prompt")) {
                        busy.incrementAndGet();
                        while (go.getCount() > 0) {
                            Thread.onSpinWait();
                        }
                    }
                    return method.invoke(own.model, args);
                });
        int processors = Runtime.getRuntime().availableProcessors();
        List<CompletableFuture<HttpResponse<String>>> replies = new ArrayList<>();
        HttpClient client = HttpClient.newHttpClient();
        try (own;
                ApiServer server = new ApiServer(Served.settings(), List.of(slow), own.problems::add)) {
            URI uri = URI.create("http://127.0.0.1:" + server.port());
            for (int i = 0; i < processors; i++) {
                replies.add(client.sendAsync(
                        HttpRequest.newBuilder(uri.resolve(TEXT))
                                .header("Content-Type", "application/json")
                                .POST(BodyPublishers.ofString(Served.text("Hi", "\"max_tokens\": 1")))
                                .build(),
                        HttpResponse.BodyHandlers.ofString()));
            }
            try {
                until(() -> busy.get() == processors);
                HttpRequest health = HttpRequest.newBuilder(uri.resolve("/health"))
                        .timeout(Duration.ofSeconds(10))
                        .build();
                assertEquals(
                        200,
                        client.send(health, HttpResponse.BodyHandlers.ofString())
                                .statusCode());
            } finally {
                go.countDown();
            }
            for (CompletableFuture<HttpResponse<String>> reply : replies) {
                assertEquals(200, reply.get().statusCode());
            }
        }
    }

    @Test
    void aTextGoesOnAsGenerateWritesIt() throws Exception {
        String prompt = "Name three primary colours.";
        Served.Reply reply = SERVED.post(TEXT, Served.text(prompt, "\"temperature\": 0", "\"max_tokens\": 24"));
        assertEquals(200, reply.status(), reply.body());
        JsonNode json = reply.json();
        assertEquals("text_completion", json.get("object").stringValue());
        String generated = Program.run(
                        "generate",
                        "--model",
                        Program.BASE.toString(),
                        "--threads",
                        "1",
                        "--max-new-tokens",
                        "24",
                        "--prompt-file",
                        Files.writeString(dir.resolve("prompt.txt"), prompt).toString())
                .succeeded()
                .out();
        assertEquals(generated, json.path("choices").get(0).get("text").stringValue() + "\n");
        JsonNode usage = json.get("usage");
        assertEquals(
                SERVED.model.prompt(prompt).length, usage.get("prompt_tokens").intValue());
        assertEquals(
                usage.get("total_tokens").intValue(),
                usage.get("prompt_tokens").intValue()
                        + usage.get("completion_tokens").intValue());
    }

    @Test
    void aStreamHasTheSameTextAsAWholeAnswerAndItsCounts() throws Exception {
        String[] fields = {"\"temperature\": 1", "\"seed\": 7", "\"max_tokens\": 40", "\"n\": 3"};
        JsonNode whole = SERVED.post(CHAT, Served.chat("什么是光合作用？", fields)).json();
        List<String> streaming = new ArrayList<>(List.of(fields));
        streaming.add("\"stream\": true");
        streaming.add("\"stream_options\": {\"include_usage\": true}");
        Served.Reply reply = SERVED.post(CHAT, Served.chat("什么是光合作用？", streaming.toArray(String[]::new)));
        assertTrue(reply.response()
                .headers()
                .firstValue("content-type")
                .orElseThrow()
                .startsWith("text/event-stream"));
        List<JsonNode> events = Served.events(reply);
        for (int i = 0; i < 3; i++) {
            int index = i;
            JsonNode choice = whole.path("choices").get(i);
            List<JsonNode> own = events.stream()
                    .map(e -> e.path("choices").path(0))
                    .filter(c -> c.path("index").asInt(-1) == index)
                    .toList();
            assertEquals("assistant", own.getFirst().path("delta").path("role").stringValue());
            assertEquals(
                    choice.path("message").path("content").stringValue(),
                    own.stream()
                            .map(c -> c.path("delta").path("content").asString(""))
                            .collect(Collectors.joining()));
            assertEquals(choice.get("finish_reason"), own.getLast().get("finish_reason"));
        }
        assertEquals(whole.get("usage"), events.getLast().get("usage"));
        assertEquals(0, events.getLast().get("choices").size());
        // three answers of three seeds
        assertEquals(
                3,
                IntStream.range(0, 3)
                        .mapToObj(i ->
                                whole.path("choices").get(i).path("message").path("content"))
                        .distinct()
                        .count());
    }

    @Test
    void aStopTextEndsTheAnswerAndIsNoPartOfIt() throws Exception {
        String full = answer(Served.text("The", "\"temperature\": 0", "\"max_tokens\": 30"));
        String stop = full.substring(full.length() / 2, full.length() / 2 + 3);
        String before = full.substring(0, full.indexOf(stop));
        Served.Reply reply = SERVED.post(
                TEXT,
                Served.text(
                        "The",
                        "\"temperature\": 0",
                        "\"max_tokens\": 30",
                        "\"stop\": " + Served.JSON.writeValueAsString(stop)));
        JsonNode choice = reply.json().path("choices").get(0);
        assertEquals(before, choice.get("text").stringValue());
        assertEquals("stop", choice.get("finish_reason").stringValue());
        List<JsonNode> events = Served.events(SERVED.post(
                TEXT,
                Served.text(
                        "The",
                        "\"temperature\": 0",
                        "\"max_tokens\": 30",
                        "\"stream\": true",
                        "\"stop\": [\"never there\", " + Served.JSON.writeValueAsString(stop) + "]")));
        assertEquals(
                before,
                events.stream()
                        .map(e -> e.path("choices").get(0).get("text").stringValue())
                        .collect(Collectors.joining()));
    }

    @Test
    void anAnswerThatIsCutHasLengthAsItsReason() throws Exception {
        JsonNode json =
                SERVED.post(TEXT, Served.text("The", "\"temperature\": 0")).json();
        assertEquals("length", json.path("choices").get(0).get("finish_reason").stringValue());
        assertEquals(16, json.path("usage").get("completion_tokens").intValue()); // OpenAI's default
    }

    @Test
    void severalPromptsAndTokenIdsAreAnsweredEach() throws Exception {
        int[] ids = SERVED.model.prompt("The sun");
        String list = Served.JSON.writeValueAsString(ids);
        String greedy = "\"temperature\": 0, \"max_tokens\": 8";
        String expected = answer(Served.text("The sun", greedy));
        assertEquals(expected, answer("{\"model\": \"base\", \"prompt\": " + list + ", " + greedy + "}"));
        JsonNode json = SERVED.post(
                        TEXT,
                        "{\"model\": \"base\", \"prompt\": [" + list + "," + list + "], \"n\": 2, " + greedy + "}")
                .json();
        assertEquals(4, json.get("choices").size());
        json.get("choices").forEach(c -> assertEquals(expected, c.get("text").stringValue()));
        assertEquals(2 * ids.length, json.path("usage").get("prompt_tokens").intValue());
        JsonNode texts = SERVED.post(TEXT, "{\"model\": \"base\", \"prompt\": [\"The sun\", \"A\"], " + greedy + "}")
                .json();
        assertEquals(expected, texts.path("choices").get(0).get("text").stringValue());
        assertEquals(2, texts.get("choices").size());
    }

    @Test
    void aSeedGivesTheSameAnswerAgainAndNoSeedAnother() throws Exception {
        String[] sampled = {"\"max_tokens\": 20", "\"temperature\": 1.5"};
        assertEquals(
                answer(Served.text("The", "\"seed\": -3", sampled[0], sampled[1])),
                answer(Served.text("The", "\"seed\": -3", sampled[0], sampled[1])));
        assertFalse(answer(Served.text("The", sampled)).equals(answer(Served.text("The", sampled))));
    }

    private static String answer(String body) throws Exception {
        Served.Reply reply = SERVED.post(TEXT, body);
        assertEquals(200, reply.status(), reply.body());
        return reply.json().path("choices").get(0).get("text").stringValue();
    }

    @Test
    void fieldsInTheirNeutralValueAndTagsAreTaken() throws Exception {
        Served.Reply reply = SERVED.post(
                CHAT,
                Served.chat(
                        "Hi",
                        "\"max_completion_tokens\": 2, \"tools\": [], \"tool_choice\": \"none\", \"top_p\": 0",
                        "\"response_format\": {\"type\": \"text\"}, \"logit_bias\": {}, \"logprobs\": false",
                        "\"presence_penalty\": 0, \"frequency_penalty\": 0.0, \"stop\": null, \"store\": false",
                        "\"user\": \"me\", \"metadata\": {\"a\": \"b\"}, \"service_tier\": \"auto\""));
        assertEquals(200, reply.status(), reply.body());
        Served.Reply parts = SERVED.post(
                CHAT,
                "{\"model\": \"base\", \"max_tokens\": 2, \"messages\": [{\"role\": \"developer\", \"content\": \"Be\"},"
                        + "{\"role\": \"user\", \"name\": \"Ann\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}]},"
                        + "{\"role\": \"assistant\", \"content\": \"b\", \"refusal\": null, \"tool_calls\": []},"
                        + "{\"role\": \"user\", \"content\": \"c\"}]}");
        assertEquals(200, parts.status(), parts.body());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"max_tokens\": 0 | max_tokens",
                "\"max_tokens\": 1.5 | max_tokens",
                "\"max_tokens\": \"9\" | max_tokens",
                "\"max_tokens\": 3, \"max_completion_tokens\": 3 | max_tokens",
                "\"temperature\": 2.1 | temperature",
                "\"temperature\": -1 | temperature",
                "\"temperature\": \"hot\" | temperature",
                "\"temperature\": 1e999 | temperature",
                "\"top_p\": 1.1 | top_p",
                "\"n\": 0 | n",
                "\"n\": 129 | n",
                "\"seed\": 0.5 | seed",
                "\"seed\": 9223372036854775808 | seed",
                "\"stop\": \"\" | stop",
                "\"stop\": [\"a\", \"b\", \"c\", \"d\", \"e\"] | stop",
                "\"stop\": [1] | stop[0]",
                "\"stream\": \"yes\" | stream",
                "\"stream_options\": {\"include_usage\": true} | stream_options",
                "\"stream\": true, \"stream_options\": {\"usage\": true} | stream_options.usage",
                "\"logprobs\": true | logprobs",
                "\"top_logprobs\": 2 | top_logprobs",
                "\"presence_penalty\": 0.5 | presence_penalty",
                "\"frequency_penalty\": -1 | frequency_penalty",
                "\"logit_bias\": {\"5\": 1} | logit_bias",
                "\"tools\": [{\"type\": \"function\"}] | tools",
                "\"response_format\": {\"type\": \"json_object\"} | response_format",
                "\"temprature\": 1 | temprature",
                "\"prompt\": \"x\" | prompt",
                "\"messages\": [] | messages",
                "\"messages\": \"Hi\" | messages",
                "\"messages\": [7] | messages[0]",
                "\"messages\": [{\"content\": \"x\"}] | messages[0].role",
                "\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}] | messages[0].role",
                "\"messages\": [{\"role\": \"user\"}] | messages[0].content",
                "\"messages\": [{\"role\": \"user\", \"content\": 7}] | messages[0].content",
                "\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"colour\": 1}] | messages[0].colour",
                "\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}] | messages[0].content[0].type",
                "\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}] | messages[0].content",
            })
    void aWrongFieldIsRefusedByItsName(String field, String param) throws Exception {
        String messages =
                field.startsWith("\"messages\"") ? "" : "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], ";
        Served.Reply reply = SERVED.post(CHAT, "{\"model\": \"base\", " + messages + field + "}");
        assertEquals(400, reply.status(), reply.body());
        assertEquals(param, reply.param(), reply.body());
        assertEquals(
                "invalid_request_error", reply.json().path("error").path("type").stringValue());
        assertFalse(reply.json().path("error").path("message").stringValue().isEmpty());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "[]",
                "7",
                "null",
                "{\"model\": \"base\",}",
                "{'model': 'base'}",
                "{\"model\": NaN}",
                "{\"model\": \"base\"} {}",
                "{\"model\": \"base\", \"model\": \"base\"}",
                "{\"a\": /* */ 1}",
                "{\"model\": \"a\u0001\"}",
                "\uFEFF{}"
            })
    void whatIsNoJsonObjectIsRefused(String body) throws Exception {
        Served.Reply reply = SERVED.post(CHAT, body);
        assertEquals(400, reply.status(), reply.body());
        assertEquals("invalid_json", reply.code(), reply.body());
    }

    @Test
    void deepNestingIsRefused() throws Exception {
        Served.Reply reply = SERVED.post(CHAT, "{\"model\": " + "[".repeat(100_000));
        assertEquals(400, reply.status());
        assertEquals("invalid_json", reply.code());
    }

    @Test
    void aBodyThatIsNotUtf8IsRefused() throws Exception {
        byte[] bad = Served.chat("caf\u00e9").getBytes(StandardCharsets.ISO_8859_1);
        Served.Reply reply = SERVED.post(CHAT, BodyPublishers.ofByteArray(bad));
        assertEquals(400, reply.status());
        assertEquals("invalid_utf8", reply.code());
    }

    @Test
    void aBodyThatIsTooLargeIsRefusedWithAndWithoutItsLength() throws Exception {
        byte[] large = Served.chat("a".repeat(9 << 20)).getBytes(StandardCharsets.UTF_8);
        Served.Reply reply = SERVED.post(CHAT, BodyPublishers.ofByteArray(large));
        assertEquals(413, reply.status());
        assertEquals("request_too_large", reply.code());
        reply = SERVED.post(CHAT, BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(large))); // chunked
        assertEquals(413, reply.status());
    }

    @Test
    void aPromptBeyondTheContextIsRefused() throws Exception {
        Served.Reply reply = SERVED.post(CHAT, Served.chat("word ".repeat(5000)));
        assertEquals(400, reply.status());
        assertEquals("context_length_exceeded", reply.code());
        assertEquals("messages", reply.param());
        int positions = SERVED.model.positions();
        reply = SERVED.post(TEXT, Served.text("The", "\"max_tokens\": " + positions));
        assertEquals("context_length_exceeded", reply.code());
        assertEquals("max_tokens", reply.param());
        String beyond = "{\"model\": \"base\", \"prompt\": [5, 999999]}";
        assertEquals(400, SERVED.post(TEXT, beyond).status());
        assertEquals(
                400,
                SERVED.post(TEXT, "{\"model\": \"base\", \"prompt\": [-1]}").status());
    }

    @Test
    void anUnknownModelPathAndMethodAreToldApart() throws Exception {
        Served.Reply reply = SERVED.post(CHAT, Served.chat("Hi").replace("\"base\"", "\"gpt\""));
        assertEquals(404, reply.status());
        assertEquals("model_not_found", reply.code());
        assertEquals(404, SERVED.get("/v1/nothing").status());
        assertEquals("not_found", SERVED.get("/v1/nothing").code());
        reply = SERVED.get(CHAT);
        assertEquals(405, reply.status());
        assertEquals("POST", reply.response().headers().firstValue("allow").orElseThrow());
        assertEquals(
                "base",
                SERVED.get("/v1/models").json().path("data").get(0).get("id").stringValue());
        assertEquals("model", SERVED.get("/v1/models/base").json().get("object").stringValue());
        assertEquals(404, SERVED.get("/v1/models/other").status());
        assertEquals("ok", SERVED.get("/health").json().get("status").stringValue());
    }

    /// A page of another site may post text to localhost, and may call itself localhost by DNS.
    @Test
    void aBrowserIsNotLedHere() throws Exception {
        String body = Served.chat("Hi");
        String head = "POST " + CHAT + " HTTP/1.1\r\nContent-Length: " + body.length() + "\r\nConnection: close\r\n";
        assertTrue(raw(head + "Host: localhost\r\nContent-Type: text/plain\r\n\r\n" + body)
                .startsWith("HTTP/1.1 415 "));
        assertTrue(raw(head + "Host: evil.example:8000\r\nContent-Type: application/json\r\n\r\n" + body)
                .startsWith("HTTP/1.1 403 "));
    }

    private static String raw(String request) throws Exception {
        try (Socket socket = new Socket("127.0.0.1", SERVED.server.port())) {
            socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aClientThatGoesAwayFreesItsRoom(boolean stream) throws Exception {
        try (Served served = new Served("model=" + endless)) {
            try (Socket socket = new Socket("127.0.0.1", served.server.port())) {
                send(socket, endless(stream));
                until(() -> served.model.engine().reservedTokens() > 0);
            }
            until(() -> served.model.engine().reservedTokens() == 0);
            until(() -> served.metric("sft_requests_active") == 1); // the one that asks
            assertTrue(served.get("/metrics").body().contains("sft_dropped_total{reason=\"client_gone\"} 1\n"));
            assertEquals(0, served.metric("sft_answer_tokens_total"));
        }
    }

    /// Eight texts as long as the model can write: seconds.
    private static String endless(boolean stream) {
        return Served.text("The", "\"max_tokens\": 1000", "\"n\": 8", "\"stream\": " + stream);
    }

    static void send(Socket socket, String body) throws Exception {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        OutputStream out = socket.getOutputStream();
        out.write(("POST " + TEXT + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Connection: close\r\nContent-Length: "
                        + bytes.length + "\r\n\r\n")
                .getBytes(StandardCharsets.ISO_8859_1));
        out.write(bytes);
        out.flush();
    }

    /// The kernel takes some megabytes for a reader that reads nothing. A name of 20,000 letters, which each chunk
    /// repeats, makes a short text more than that.
    @Test
    void aSlowReaderIsDroppedAndHoldsUpNobody() throws Exception {
        String name = "base".repeat(5000);
        try (Served served = new Served("model=" + endless, "generation_batch_size=2", "served_model_name=" + name);
                Socket slow = new Socket()) {
            slow.setReceiveBufferSize(1024);
            slow.connect(new InetSocketAddress("127.0.0.1", served.server.port()));
            String long_ = Served.text("The", "\"max_tokens\": 1000", "\"stream\": true");
            send(slow, long_.replace("\"base\"", "\"" + name + "\""));
            until(() -> served.model.engine().running() == 1);
            String other = Served.text("The", "\"max_tokens\": 30", "\"temperature\": 0");
            assertEquals(
                    200,
                    served.post(TEXT, other.replace("\"base\"", "\"" + name + "\""))
                            .status());
            until(() -> served.model.engine().running() == 0);
            assertTrue(served.metric("sft_answer_tokens_total") < 100);
            String heard = new String(slow.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(heard.contains("\"slow_reader\""), () -> heard.substring(Math.max(0, heard.length() - 400)));
            assertTrue(served.get("/metrics").body().contains("sft_dropped_total{reason=\"slow_reader\"} 1\n"));
        }
    }

    @Test
    void aFullQueueIsToldToComeLater() throws Exception {
        try (Served served = new Served("model=" + endless, "generation_batch_size=1", "max_queue=2")) {
            List<CompletableFuture<Integer>> replies = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                replies.add(CompletableFuture.supplyAsync(
                        () -> {
                            try {
                                return served.post(
                                                TEXT, Served.text("The", "\"max_tokens\": 300", "\"temperature\": 0"))
                                        .status();
                            } catch (Exception e) {
                                throw new AssertionError(e);
                            }
                        },
                        r -> Thread.ofVirtual().start(r)));
            }
            List<Integer> statuses =
                    replies.stream().map(CompletableFuture::join).sorted().toList();
            assertTrue(statuses.contains(429), statuses::toString);
            assertTrue(statuses.contains(200), statuses::toString);
            assertTrue(statuses.stream().allMatch(s -> s == 200 || s == 429), statuses::toString);
        }
    }

    @Test
    void whatTheCacheHasNoRoomForIsRefusedWithTheReason() throws Exception {
        // keys and values of a token are 3 layers x 2 x 32 floats, 768 bytes
        try (Served served = new Served("kv_memory=0.0001", "generation_batch_size=4")) {
            int room = served.model.positions();
            assertTrue(room < 200, "room for " + room);
            Served.Reply reply = served.post(TEXT, Served.text("The", "\"max_tokens\": " + room));
            assertEquals(400, reply.status());
            assertEquals("context_length_exceeded", reply.code());
            assertEquals(
                    200,
                    served.post(TEXT, Served.text("The", "\"max_tokens\": " + room / 2))
                            .status());
        }
    }

    @Test
    void withAKeyOnlyWhoHasItIsAnswered() throws Exception {
        try (Served served = new Served("api_key=s3cret")) {
            Served.Reply reply = served.get("/v1/models");
            assertEquals(401, reply.status());
            assertEquals("invalid_api_key", reply.code());
            var right = HttpRequest.newBuilder(served.uri("/v1/models")).header("Authorization", "Bearer s3cret");
            assertEquals(200, served.send(right).status());
            var wrong = HttpRequest.newBuilder(served.uri("/v1/models")).header("Authorization", "Bearer s3cre");
            assertEquals(401, served.send(wrong).status());
            assertEquals(200, served.get("/health").status());
            assertEquals(200, served.get("/metrics").status());
        }
    }

    @Test
    void anotherHostNeedsAKey() {
        assertThrows(InputException.class, () -> Served.settings("host=0.0.0.0"));
        assertThrows(InputException.class, () -> Served.settings("host=no.such.host.invalid"));
        Served.settings("host=0.0.0.0", "api_key=k");
    }

    @Test
    void aConversationThatTheTemplateRefusesIsRefusedWithItsReason() throws Exception {
        Path template = Files.writeString(dir.resolve("refuses.jinja"), "{{ raise_exception('only greetings') }}");
        try (Served served = new Served("chat_template=" + template)) {
            Served.Reply reply = served.post(CHAT, Served.chat("Hi"));
            assertEquals(400, reply.status());
            assertEquals("messages", reply.param());
            assertTrue(reply.body().contains("only greetings"), reply.body());
        }
    }

    @Test
    void withoutATemplateAConversationIsRefusedAndATextIsNot() throws Exception {
        Path model = Program.copyOfBase(dir);
        Served.edit(model.resolve("tokenizer_config.json"), json -> json.remove("chat_template"));
        try (Served served = new Served("model=" + model)) {
            Served.Reply reply = served.post(CHAT, Served.chat("Hi"));
            assertEquals(400, reply.status());
            assertTrue(reply.body().contains("--chat-template"), reply.body());
            assertEquals(200, served.post(TEXT, Served.text("Hi")).status());
        }
    }

    @Test
    void closingLetsRequestsEndAndTakesNoOthers() throws Exception {
        Served served = new Served("model=" + endless, "generation_batch_size=1");
        CompletableFuture<Served.Reply> going = CompletableFuture.supplyAsync(() -> {
            try {
                return served.post(TEXT, Served.text("The", "\"max_tokens\": 400", "\"temperature\": 0"));
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
        until(() -> served.model.engine().running() == 1);
        Thread closing = Thread.ofPlatform().start(() -> served.server.close(30));
        until(() -> served.get("/health").status() == 503);
        Served.Reply refused = served.post(TEXT, Served.text("The"));
        assertEquals(503, refused.status());
        assertTrue(refused.response().headers().firstValue("retry-after").isPresent());
        assertEquals(200, going.join().status());
        closing.join();
        served.close();
    }

    @Test
    void closingAtOnceTellsAStreamWhy() throws Exception {
        Served served = new Served("model=" + endless);
        CompletableFuture<String> going = CompletableFuture.supplyAsync(() -> {
            try {
                return served.post(TEXT, endless(true)).body();
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
        until(() -> served.model.engine().running() == 8);
        served.close();
        assertTrue(going.join().contains("shutting_down"));
    }
}
