package org.sftnative.cli;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import org.sftnative.config.ServeSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.web.ApiServer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The small model behind a server on a free port, in this process.
final class Served implements AutoCloseable {
    static final JsonMapper JSON = new JsonMapper();

    final OpenModel model;
    final ApiServer server;
    final List<Throwable> problems = new CopyOnWriteArrayList<>();
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    /// @param more settings, as `name=value`
    Served(String... more) {
        ServeSettings settings = settings(more);
        model = OpenModel.open(
                settings.model(),
                settings.servedModelName(),
                settings.chatTemplate(),
                settings.batch(),
                1,
                settings.maxQueue(),
                problems::add);
        server = new ApiServer(settings, List.of(model), problems::add);
    }

    static ServeSettings settings(String... more) {
        List<SettingValue> values = new ArrayList<>();
        List<String> all =
                new ArrayList<>(List.of("model=" + Program.BASE, "threads=1", "port=0", "served_model_name=base"));
        all.addAll(Arrays.asList(more));
        for (String pair : all) {
            String[] parts = pair.split("=", 2);
            values.removeIf(v -> v.name().equals(parts[0]));
            values.add(new SettingValue(parts[0], List.of(parts[1]), "test"));
        }
        return CommandLineProgram.SERVE.bind(CommandLineProgram.SERVE.resolve(values));
    }

    URI uri(String path) {
        return URI.create("http://127.0.0.1:" + server.port() + path);
    }

    /// A copy of the small model that does not end its texts: no text of it has the token that would.
    static Path endless(Path directory) throws IOException {
        Path model = Program.copyOfBase(directory);
        for (String name : List.of("config.json", "generation_config.json")) {
            edit(model.resolve(name), json -> json.put("eos_token_id", 0));
        }
        for (String name : List.of("tokenizer_config.json", "special_tokens_map.json")) {
            edit(model.resolve(name), json -> json.put("eos_token", "<unk>"));
        }
        return model;
    }

    static void edit(Path file, Consumer<ObjectNode> change) throws IOException {
        ObjectNode json = (ObjectNode) JSON.readTree(Files.readString(file));
        change.accept(json);
        Files.writeString(file, json.toString());
    }

    record Reply(int status, String body, HttpResponse<?> response) {
        JsonNode json() {
            return JSON.readTree(body);
        }

        /// `code` of an error.
        String code() {
            return json().path("error").path("code").asString("");
        }

        String param() {
            return json().path("error").path("param").asString("");
        }
    }

    Reply get(String path) throws IOException, InterruptedException {
        return send(HttpRequest.newBuilder(uri(path)).GET());
    }

    Reply post(String path, String body) throws IOException, InterruptedException {
        return post(path, HttpRequest.BodyPublishers.ofString(body));
    }

    Reply post(String path, HttpRequest.BodyPublisher body) throws IOException, InterruptedException {
        return send(HttpRequest.newBuilder(uri(path))
                .header("Content-Type", "application/json")
                .POST(body));
    }

    Reply send(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<String> response = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        return new Reply(response.statusCode(), response.body(), response);
    }

    /// Fields of a chat request about one question, with others: `"n": 2`.
    static String chat(String question, String... fields) {
        ObjectNode body = (ObjectNode) JSON.readTree("{\"model\": \"base\", \"messages\": [{\"role\": \"user\"}]}");
        ((ObjectNode) body.path("messages").get(0)).put("content", question);
        return with(body, fields);
    }

    /// Fields of a text request.
    static String text(String prompt, String... fields) {
        return with(JSON.createObjectNode().put("model", "base").put("prompt", prompt), fields);
    }

    private static String with(ObjectNode body, String... fields) {
        body.setAll((ObjectNode) JSON.readTree("{" + String.join(",", fields) + "}"));
        return body.toString();
    }

    /// The events of a stream, without [DONE], which must be the last.
    static List<JsonNode> events(Reply reply) {
        List<String> data = reply.body()
                .lines()
                .filter(line -> line.startsWith("data: "))
                .map(line -> line.substring(6))
                .toList();
        if (!data.getLast().equals("[DONE]")) {
            throw new AssertionError("the stream ends with " + data.getLast());
        }
        return data.subList(0, data.size() - 1).stream().map(JSON::readTree).toList();
    }

    /// A number of /metrics.
    long metric(String name) throws IOException, InterruptedException {
        return get("/metrics")
                .body()
                .lines()
                .filter(line -> line.startsWith(name + " ") || line.startsWith(name + "{"))
                .map(line -> Long.parseLong(line.substring(line.lastIndexOf(' ') + 1)))
                .reduce(Long::sum)
                .orElseThrow();
    }

    @Override
    public void close() {
        server.close(0);
        model.close();
        client.close();
    }
}
