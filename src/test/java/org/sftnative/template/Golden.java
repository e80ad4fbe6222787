package org.sftnative.template;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The fixtures of scripts/golden/templates.py.
final class Golden {
    static final Path FOLDER = Path.of("src/test/resources/golden/templates");
    private static final Clock CLOCK = Clock.fixed(Instant.parse("2024-07-06T09:05:03Z"), ZoneOffset.UTC);

    private Golden() {}

    static JsonNode json(String name) {
        return JsonMapper.shared().readTree(text(FOLDER.resolve(name)));
    }

    static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// What a case of the fixtures renders to; empty if it is refused.
    ///
    /// @param name the conversation's name, ` prompt` after it for a generation prompt
    static Optional<Rendered> render(ChatTemplate template, String name, JsonNode fixture) {
        boolean prompt = name.endsWith(" prompt");
        JsonNode conversation =
                fixture.path("conversations").path(prompt ? name.substring(0, name.length() - 7) : name);
        try {
            return Optional.of(template.render(
                    input(conversation, fixture.path("variables")).withGenerationPrompt(prompt)));
        } catch (InputException e) {
            return Optional.empty();
        }
    }

    static RenderInput input(JsonNode conversation, JsonNode variables) {
        List<Value> messages = new ArrayList<>();
        conversation.path("messages").forEach(message -> messages.add(JsonValues.of(message)));
        RenderInput input = RenderInput.of(messages).withClock(CLOCK);
        for (JsonNode more : List.of(variables, conversation.path("variables"))) {
            for (var entry : more.properties()) {
                input = input.with(entry.getKey(), JsonValues.of(entry.getValue()));
            }
        }
        if (conversation.has("tools")) {
            input = input.withTools(JsonValues.of(conversation.path("tools")));
        }
        if (conversation.has("documents")) {
            input = input.withDocuments(JsonValues.of(conversation.path("documents")));
        }
        return input;
    }

    /// Generation spans in code points, as Python counts.
    static List<List<Integer>> codePoints(Rendered rendered) {
        String text = rendered.text();
        return rendered.generation().stream()
                .map(span -> List.of(text.codePointCount(0, span.start()), text.codePointCount(0, span.end())))
                .toList();
    }

    static List<List<Integer>> spans(JsonNode expected) {
        List<List<Integer>> spans = new ArrayList<>();
        expected.forEach(
                span -> spans.add(List.of(span.path(0).intValue(), span.path(1).intValue())));
        return spans;
    }
}
