package org.sftnative.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sftnative.config.Suggestion;
import org.sftnative.io.JsonFiles;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Turns of rows under the names that chat templates use. What a turn has beyond role, content and weight
/// (`tool_calls`, `name`, `tool_call_id`, `reasoning_content`, ...) stays as it is; a null is as good as nothing.
///
/// As in TRL, the order of roles is the template's business: a conversation may begin with the assistant.
final class Turns {
    /// A call of a tool as ShareGPT rows have it: its content is JSON.
    private static final String CALL = "function_call";

    private static final Map<String, String> ROLES = Map.ofEntries(
            Map.entry("system", "system"),
            Map.entry("developer", "developer"),
            Map.entry("user", "user"),
            Map.entry("human", "user"),
            Map.entry("assistant", "assistant"),
            Map.entry("gpt", "assistant"),
            Map.entry("chatgpt", "assistant"),
            Map.entry("model", "assistant"),
            Map.entry(CALL, "assistant"),
            Map.entry("tool", "tool"),
            Map.entry("observation", "tool"));

    private final Row row;
    private final String field;
    private final String role;
    private final String content;
    private final String needs;

    private Turns(Row row, String field, String role, String content, String needs) {
        this.row = row;
        this.field = field;
        this.role = role;
        this.content = content;
        this.needs = needs;
    }

    /// Whether a role in a row is the assistant's.
    static boolean isAssistant(String role) {
        return "assistant".equals(ROLES.get(role));
    }

    /// Whether a value is a list whose first turn has this key. Lists may be JSON in a string.
    static boolean areIn(JsonNode value, String role) {
        JsonNode list = value;
        if (value.isString() && value.stringValue().stripLeading().startsWith("[")) {
            try {
                list = Json.ROWS.readTree(value.stringValue());
            } catch (JacksonException _) {
                return false;
            }
        }
        return list.isArray() && list.path(0).has(role);
    }

    /// The conversation of a row.
    ///
    /// @param field where its turns are
    /// @throws InputException naming the turn that is wrong
    static Example.Conversation conversation(Row row, String field, String role, String content, String needs) {
        List<ObjectNode> messages = new ArrayList<>(new Turns(row, field, role, content, needs).all());
        Optional<String> system = row.find("system", needs).filter(text -> !text.isEmpty());
        if (system.isPresent()) {
            if (!messages.getFirst().path("role").stringValue().equals("system")) {
                messages.addFirst(message("system", system.get()));
            } else if (!messages.getFirst().path("content").asString("").equals(system.get())) {
                throw row.wrong("'system' and the first turn are two system prompts", "keep the one that you mean");
            }
        }
        requireAssistant(row, messages);
        return new Example.Conversation(messages, tools(row));
    }

    /// The conversation of a row whose `prompt` and `completion` are lists of turns: only the completion is trained.
    static Example.Conversation promptAndCompletion(Row row, String needs) {
        List<ObjectNode> messages = new ArrayList<>();
        for (ObjectNode message : new Turns(row, "prompt", "role", "content", needs).all()) {
            messages.add(message.put("weight", 0));
        }
        List<ObjectNode> completion = new Turns(row, "completion", "role", "content", needs).all();
        requireAssistant(row, completion);
        for (ObjectNode message : completion) {
            messages.add(message.has("weight") ? message : message.put("weight", 1));
        }
        return new Example.Conversation(messages, tools(row));
    }

    private static void requireAssistant(Row row, List<ObjectNode> messages) {
        if (messages.stream().noneMatch(m -> m.path("role").stringValue().equals("assistant"))) {
            throw row.wrong(
                    "no turn is the assistant's: there is nothing to learn (" + messages.size() + " turns)",
                    "add its answer, or remove the row");
        }
    }

    private static Optional<JsonNode> tools(Row row) {
        String needs = "'tools' is a list of JSON schemas, or such a list as a string";
        Optional<ArrayNode> tools = row.array("tools", needs);
        for (JsonNode tool : tools.map(ArrayNode::values).orElse(List.of())) {
            if (!tool.isObject()) {
                throw row.wrong("'tools' holds " + Json.kind(tool), needs);
            }
            row.checkTexts(tool, "'tools'");
        }
        return tools.map(array -> array);
    }

    private List<ObjectNode> all() {
        ArrayNode turns = row.array(field, needs).orElseThrow(() -> {
            JsonNode there = row.fields().path(field);
            return row.wrong(
                    "'" + field + "' is " + (there.isMissingNode() ? "missing" : there.isNull() ? "null" : "empty")
                            + row.keys(),
                    needs);
        });
        List<ObjectNode> messages = new ArrayList<>();
        for (JsonNode turn : turns.values()) {
            messages.add(message(messages.size() + 1, turn));
        }
        return messages;
    }

    private ObjectNode message(int number, JsonNode value) {
        String where = "turn " + number + " of '" + field + "'";
        if (!(value instanceof ObjectNode turn)) {
            throw row.wrong(where + " is " + Json.kind(value) + ", must be an object", needs);
        }
        if (!turn.hasNonNull(role)) {
            throw row.wrong(
                    where + ": '" + role + "' is " + (turn.has(role) ? "null" : "missing") + Json.keys(turn), needs);
        }
        String given = row.text(turn.get(role), where + ": '" + role + "'", needs);
        String known = role(given, where);
        ObjectNode message = message(known, "");
        boolean call = given.equals(CALL);
        boolean speechless =
                turn.path("tool_calls").isArray() && !turn.path("tool_calls").isEmpty();
        if (call) {
            message.set("tool_calls", calls(text(turn, where), where));
        } else if (turn.hasNonNull(content) || !speechless) {
            message.put("content", text(turn, where));
        }
        for (Map.Entry<String, JsonNode> entry : turn.properties()) {
            String key = entry.getKey();
            if (key.equals("weight") || key.equals("loss_weight")) {
                if (!entry.getValue().isNull()) {
                    message.put("weight", weight(entry.getValue(), where + ": '" + key + "'"));
                }
            } else if (!key.equals(role)
                    && !key.equals(content)
                    && !entry.getValue().isNull()) {
                row.checkTexts(entry.getValue(), where + ": '" + key + "'");
                message.set(key, entry.getValue());
            }
        }
        return message;
    }

    private String role(String given, String where) {
        String known = ROLES.get(given);
        if (known != null) {
            return known;
        }
        throw row.wrong(
                where + ": '" + role + "' is "
                        + (given.isBlank() ? "empty" : "'" + Json.shown(given) + "', no role that is known"),
                Suggestion.nearest(given, ROLES.keySet())
                        .map(name -> "did you mean '" + name + "'?")
                        .orElse(
                                "roles are system, developer, user, assistant, tool (ShareGPT: human, gpt, function_call,"
                                        + " observation)"));
    }

    /// The text of a turn. A list of parts that are all text is their texts, one after the other, which is what
    /// templates that know parts make of it; those that do not would print the list.
    private String text(ObjectNode turn, String where) {
        String what = where + ": '" + content + "'";
        JsonNode value = turn.path(content);
        if (value.isMissingNode() || value.isNull()) {
            throw row.wrong(what + " is " + (value.isNull() ? "null" : "missing") + Json.keys(turn), needs);
        }
        if (!value.isArray()) {
            return row.text(value, what, "content is a text, or a list of parts with 'type' text and 'text'");
        }
        StringBuilder text = new StringBuilder();
        for (JsonNode part : value) {
            JsonNode piece = part.hasNonNull("text") ? part.path("text") : part.path("value");
            if (!part.path("type").asString("").equals("text") || !piece.isString()) {
                throw row.wrong(
                        what + " has a part that is no text: " + Json.shown(part.toString()),
                        "parts need 'type' text and 'text': only text is trained here");
            }
            text.append(row.text(piece, what, needs));
        }
        return text.toString();
    }

    private int weight(JsonNode value, String what) {
        if (Json.isOneOrNone(value)) {
            return (int) value.doubleValue();
        }
        throw row.wrong(
                what + " is " + (value.isNumber() ? value.toString() : Json.kind(value)) + ", must be 0 or 1",
                "1 trains the turn, 0 does not");
    }

    /// A ShareGPT call, one or a list of `{"name": ..., "arguments": ...}` as JSON in a string, as chat templates
    /// know it. LLaMA-Factory refuses other content, too.
    private ArrayNode calls(String text, String where) {
        String needed = "a function_call is {\"name\": ..., \"arguments\": {...}}, or a list of them";
        JsonNode read;
        try {
            read = Json.ROWS.readTree(text);
        } catch (JacksonException e) {
            throw row.wrong(where + ": a function_call that is no JSON: " + JsonFiles.problem(e), needed);
        }
        ArrayNode calls = JsonNodeFactory.instance.arrayNode();
        for (JsonNode call : read.isArray() ? read.values() : List.of(read)) {
            if (!call.path("name").isString() || !call.has("arguments")) {
                throw row.wrong(where + ": a function_call without 'name' and 'arguments'", needed);
            }
            ObjectNode function = calls.addObject().put("type", "function").putObject("function");
            function.set("name", call.get("name"));
            function.set("arguments", call.get("arguments"));
        }
        if (calls.isEmpty()) {
            throw row.wrong(where + ": an empty function_call", needed);
        }
        return calls;
    }

    private static ObjectNode message(String role, String content) {
        return JsonNodeFactory.instance.objectNode().put("role", role).put("content", content);
    }
}
