package org.sftnative.web;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Predicate;
import org.sftnative.generate.Sampling;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Reads the fields of a request: each is honoured, or refused by its name.
final class RequestReader {
    /// Answers that one request may want, of all its prompts.
    static final int MOST_ANSWERS = 128;

    private static final int MOST_STOPS = 4; // as OpenAI's
    private static final int TEXT_TOKENS = 16; // of a text's answer unless it says, as OpenAI's
    private static final Predicate<JsonNode> NEVER = _ -> false;
    private static final Predicate<JsonNode> EMPTY = node -> node.isContainer() && node.isEmpty();
    private static final Predicate<JsonNode> ZERO = node -> node.isNumber() && node.doubleValue() == 0;
    private static final Predicate<JsonNode> OFF = node -> node.isBoolean() && !node.booleanValue();

    private RequestReader() {}

    static CompletionRequest chat(ObjectNode body) {
        Fields fields = new Fields(body, "");
        String model = model(fields);
        JsonNode messages = fields.any("messages").orElseThrow(() -> missing("messages"));
        OptionalInt limit = most(fields, "max_completion_tokens");
        OptionalInt older = most(fields, "max_tokens");
        if (limit.isPresent() && older.isPresent()) {
            throw ApiException.field("max_tokens", "give 'max_tokens' or 'max_completion_tokens', not both");
        }
        fields.unsupported("logprobs", OFF, "");
        fields.unsupported("top_logprobs", ZERO, "");
        String tools = ": the model writes text, and calls nothing";
        fields.unsupported("tools", EMPTY, tools);
        fields.unsupported("tool_choice", is("none", "auto"), tools);
        fields.unsupported("parallel_tool_calls", JsonNode::isBoolean, tools);
        fields.unsupported("functions", EMPTY, tools);
        fields.unsupported("function_call", is("none", "auto"), tools);
        fields.unsupported(
                "response_format",
                node -> node.isObject()
                        && node.size() == 1
                        && node.path("type").asString("").equals("text"),
                " but for {\"type\": \"text\"}: nothing holds the model to a form");
        fields.unsupported(
                "modalities",
                node -> node.isArray() && node.size() == 1 && is("text").test(node.get(0)),
                "");
        fields.unsupported("store", OFF, ": nothing is kept");
        for (String name : List.of("audio", "prediction", "web_search_options", "reasoning_effort", "verbosity")) {
            fields.unsupported(name, NEVER, "");
        }
        return common(
                fields, true, model, List.of(new Prompt.Chat(messages(messages))), limit.isPresent() ? limit : older);
    }

    static CompletionRequest text(ObjectNode body) {
        Fields fields = new Fields(body, "");
        String model = model(fields);
        List<Prompt> prompts = prompts(fields.any("prompt").orElseThrow(() -> missing("prompt")));
        OptionalInt limit = most(fields, "max_tokens");
        int n = count(fields);
        fields.unsupported("best_of", node -> node.isIntegralNumber() && node.intValue() == n, " but as n");
        fields.unsupported("echo", OFF, "");
        fields.unsupported("suffix", NEVER, "");
        fields.unsupported("logprobs", NEVER, "");
        return common(fields, false, model, prompts, limit.isPresent() ? limit : OptionalInt.of(TEXT_TOKENS));
    }

    private static CompletionRequest common(
            Fields fields, boolean chat, String model, List<Prompt> prompts, OptionalInt maxTokens) {
        double temperature = fields.number("temperature", 0, 2).orElse(1);
        OptionalDouble topP = fields.number("top_p", 0, 1);
        fields.unsupported("frequency_penalty", ZERO, " but as 0");
        fields.unsupported("presence_penalty", ZERO, " but as 0");
        fields.unsupported("logit_bias", EMPTY, " but empty");
        int n = count(fields);
        if (n * prompts.size() > MOST_ANSWERS) {
            throw ApiException.field(
                    "n", "a request may want " + MOST_ANSWERS + " answers, this one wants " + n * prompts.size());
        }
        List<String> stop = stops(fields);
        OptionalLong seed = fields.whole("seed", Long.MIN_VALUE, Long.MAX_VALUE);
        boolean stream = fields.flag("stream");
        boolean usage = usage(fields, stream);
        // tags of the client's, which change nothing
        for (String name : List.of("user", "safety_identifier", "prompt_cache_key")) {
            fields.text(name);
        }
        fields.any("metadata");
        fields.unsupported("service_tier", is("auto", "default"), " but as auto");
        fields.refuseOthers();
        // a top_p of 0 leaves the likeliest alone
        boolean greedy = temperature == 0 || topP.orElse(1) == 0;
        Sampling sampling = greedy ? Sampling.GREEDY : new Sampling(temperature, 0, topP.orElse(1), 1);
        return new CompletionRequest(chat, model, prompts, maxTokens, sampling, n, stop, seed, stream, usage);
    }

    private static String model(Fields fields) {
        return fields.text("model").orElseThrow(() -> missing("model"));
    }

    private static ApiException missing(String name) {
        return ApiException.field(name, "missing_required_parameter", "Missing required parameter: '" + name + "'");
    }

    private static OptionalInt most(Fields fields, String name) {
        OptionalLong most = fields.whole(name, 1, Integer.MAX_VALUE);
        return most.isPresent() ? OptionalInt.of((int) most.getAsLong()) : OptionalInt.empty();
    }

    private static int count(Fields fields) {
        return (int) fields.whole("n", 1, MOST_ANSWERS).orElse(1);
    }

    private static boolean usage(Fields fields, boolean stream) {
        Optional<JsonNode> options = fields.any("stream_options");
        if (options.isEmpty()) {
            return false;
        }
        if (!(options.get() instanceof ObjectNode object)) {
            throw Fields.wrong("stream_options", "an object", options.get());
        }
        if (!stream) {
            throw ApiException.field("stream_options", "'stream_options' goes with 'stream' true only");
        }
        Fields inner = new Fields(object, "stream_options.");
        boolean usage = inner.flag("include_usage");
        inner.flag("include_obfuscation"); // padding against eavesdroppers: there is none
        inner.refuseOthers();
        return usage;
    }

    private static List<String> stops(Fields fields) {
        Optional<JsonNode> stop = fields.any("stop");
        if (stop.isEmpty()) {
            return List.of();
        }
        List<String> texts = new ArrayList<>();
        if (stop.get().isArray()) {
            for (JsonNode node : stop.get()) {
                texts.add(Fields.text("stop[" + texts.size() + "]", node));
            }
        } else {
            texts.add(Fields.text("stop", stop.get()));
        }
        if (texts.size() > MOST_STOPS || texts.contains("")) {
            throw ApiException.field("stop", "'stop' must be a text that is not empty, or up to " + MOST_STOPS);
        }
        return texts;
    }

    private static List<Prompt> prompts(JsonNode prompt) {
        if (prompt.isString()) {
            return List.of(new Prompt.Text(Fields.text("prompt", prompt)));
        }
        if (!prompt.isArray() || prompt.isEmpty()) {
            throw Fields.wrong("prompt", "a string, token ids, or a list of either", prompt);
        }
        if (prompt.get(0).isNumber()) {
            return List.of(tokens("prompt", prompt));
        }
        if (prompt.size() > MOST_ANSWERS) {
            throw ApiException.field("prompt", "a request may have " + MOST_ANSWERS + " prompts");
        }
        List<Prompt> prompts = new ArrayList<>();
        for (JsonNode one : prompt) {
            String param = "prompt[" + prompts.size() + "]";
            prompts.add(one.isArray() ? tokens(param, one) : new Prompt.Text(Fields.text(param, one)));
        }
        return prompts;
    }

    private static Prompt tokens(String param, JsonNode list) {
        int[] ids = new int[list.size()];
        for (int i = 0; i < ids.length; i++) {
            JsonNode id = list.get(i);
            if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
                throw Fields.wrong(param + "[" + i + "]", "a token id", id);
            }
            ids[i] = id.intValue();
        }
        return new Prompt.Tokens(ids);
    }

    private static List<ChatMessage> messages(JsonNode messages) {
        if (!messages.isArray() || messages.isEmpty()) {
            throw Fields.wrong("messages", "a list of messages that is not empty", messages);
        }
        List<ChatMessage> read = new ArrayList<>();
        for (JsonNode node : messages) {
            String path = "messages[" + read.size() + "]";
            if (!(node instanceof ObjectNode object)) {
                throw Fields.wrong(path, "an object", node);
            }
            read.add(message(new Fields(object, path + "."), path));
        }
        return read;
    }

    private static ChatMessage message(Fields fields, String path) {
        String role = fields.text("role").orElseThrow(() -> missing(path + ".role"));
        if (!Set.of("system", "developer", "user", "assistant").contains(role)) {
            throw ApiException.field(
                    path + ".role",
                    "'" + path + ".role' is '" + Shown.of(role) + "', must be system, developer, user or assistant");
        }
        JsonNode content = fields.any("content").orElseThrow(() -> missing(path + ".content"));
        String text = content.isArray() ? parts(path + ".content", content) : Fields.text(path + ".content", content);
        Optional<String> name = fields.text("name");
        // what the client's library gives back of an earlier answer
        for (String empty : List.of("refusal", "audio", "function_call", "annotations", "tool_calls")) {
            fields.unsupported(empty, EMPTY, "");
        }
        fields.refuseOthers();
        // the newer name of the same thing, which templates do not know
        return new ChatMessage(role.equals("developer") ? "system" : role, text, name);
    }

    private static String parts(String path, JsonNode parts) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < parts.size(); i++) {
            String here = path + "[" + i + "]";
            if (!(parts.get(i) instanceof ObjectNode object)) {
                throw Fields.wrong(here, "an object", parts.get(i));
            }
            Fields part = new Fields(object, here + ".");
            String type = part.text("type").orElseThrow(() -> missing(here + ".type"));
            if (!type.equals("text")) {
                throw ApiException.field(
                        here + ".type",
                        "unsupported_parameter",
                        "a part of type '" + Shown.of(type) + "' is not supported here: the model reads text");
            }
            text.append(part.text("text").orElseThrow(() -> missing(here + ".text")));
            part.refuseOthers();
        }
        return text.toString();
    }

    private static Predicate<JsonNode> is(String... texts) {
        return node -> node.isString() && Set.of(texts).contains(node.stringValue());
    }
}
