package org.sftnative.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.template.BuiltInTemplates;
import org.sftnative.template.ChatTemplate;
import org.sftnative.template.JsonValues;
import org.sftnative.template.RenderInput;
import org.sftnative.template.Rendered;
import org.sftnative.template.Value;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// How a run writes conversations: the chat template that was named, or else the model's own, with the variables that
/// transformers gives a template. Safe for use by several threads.
public final class ChatFormat {
    private final Tokenizer tokenizer;
    private final Map<String, String> sources;
    private final Map<String, ChatTemplate> parsed = new ConcurrentHashMap<>();
    private final boolean given;
    private final Clock clock = Clock.systemDefaultZone();

    private ChatFormat(Tokenizer tokenizer, Map<String, String> sources, boolean given) {
        this.tokenizer = tokenizer;
        this.sources = sources;
        this.given = given;
    }

    /// @param name a built-in template or a Jinja file; empty: the model's own templates
    /// @throws InputException if there is no such template, or it is not one
    public static ChatFormat of(Tokenizer tokenizer, Optional<String> name) {
        if (name.isEmpty()) {
            return new ChatFormat(tokenizer, tokenizer.chatTemplates(), false);
        }
        ChatTemplate template;
        if (BuiltInTemplates.names().contains(name.get())) {
            template = BuiltInTemplates.named(name.get());
        } else if (Files.isRegularFile(Path.of(name.get()))) {
            template = ChatTemplate.parse(name.get(), ChatTemplateFiles.text(Path.of(name.get())));
        } else {
            throw new InputException(
                    "chat_template '" + name.get() + "' is neither a file nor built in\n  " + builtIn());
        }
        ChatFormat format = new ChatFormat(tokenizer, Map.of("default", template.source()), true);
        format.parsed.put("default", template);
        return format;
    }

    private static String builtIn() {
        return "built-in chat templates are " + String.join(", ", BuiltInTemplates.names());
    }

    /// Whether there is a template for a conversation.
    public boolean isPresent() {
        return sources.containsKey("default");
    }

    /// What belongs beside the trained model as `chat_template.jinja`, so that everything that reads it makes the
    /// same tokens; empty if the model's own templates are in use. A template that leaves BOS to the tokenizer gets
    /// one written, since transformers adds none to a conversation.
    public Optional<String> toSave() {
        if (!given) {
            return Optional.empty();
        }
        String source = sources.get("default");
        boolean missing =
                tokenizer.specialTokens().containsKey("bos_token") && tokenizer.prefix().length > 0 && !writesBos();
        return Optional.of(missing ? "{{- bos_token -}}\n" + source : source);
    }

    private boolean writesBos() {
        try {
            ObjectNode user = message("user", "a");
            return render(List.of(user), Optional.empty(), true)
                    .text()
                    .startsWith(tokenizer.specialTokens().get("bos_token"));
        } catch (InputException _) {
            return true; // it takes no lone question: leave it as it is
        }
    }

    /// Tokens of a question, up to where the assistant's answer begins: what training makes of such a row.
    public int[] prompt(String question) {
        return prompt(List.of(message("user", question)));
    }

    /// Tokens of a conversation, up to where the assistant's next turn begins.
    ///
    /// @throws InputException if there is no template, or it refuses the conversation
    public int[] prompt(List<ObjectNode> messages) {
        return withBos(
                encode(render(messages, Optional.empty(), true), messages).ids());
    }

    /// What ends an answer: of all that the template writes after the text of an assistant's last turn, the
    /// first special token, and what comes before that if it is not blank. Training has the same end in its
    /// labels, unless the template's own generation blocks leave it out.
    public TurnEnd turnEnd() {
        List<ObjectNode> messages = List.of(message("user", "a"), message("assistant", "a"));
        Rendered rendered;
        try {
            rendered = render(messages, Optional.empty(), false);
        } catch (InputException _) {
            return TurnEnd.NONE; // it takes no such conversation
        }
        String text = rendered.text();
        if (rendered.fromRows().isEmpty()) {
            return TurnEnd.NONE;
        }
        int from = rendered.fromRows().getLast().end();
        Optional<SpecialTokens.Found> token =
                tokenizer.special().in(text, rendered.fromRows(), Set.of("user", "assistant")).stream()
                        .filter(found -> found.template() && found.start() >= from)
                        .findFirst();
        String before =
                text.substring(from, token.map(SpecialTokens.Found::start).orElse(text.length()));
        return new TurnEnd(
                token.map(found -> Set.of(found.id())).orElse(Set.of()),
                Optional.of(before.stripTrailing()).filter(end -> !end.isEmpty()));
    }

    private static ObjectNode message(String role, String content) {
        return JsonNodeFactory.instance.objectNode().put("role", role).put("content", content);
    }

    /// Token ids with what tokenizer.json writes before a text (BOS, in most models), unless the template wrote a
    /// BOS there.
    int[] withBos(int[] ids) {
        boolean there = ids.length > 0
                && tokenizer.bosId().isPresent()
                && ids[0] == tokenizer.bosId().getAsInt();
        int[] prefix = there ? new int[0] : tokenizer.prefix();
        int[] all = new int[prefix.length + ids.length];
        System.arraycopy(prefix, 0, all, 0, prefix.length);
        System.arraycopy(ids, 0, all, prefix.length, ids.length);
        return all;
    }

    Encoding encode(Rendered rendered, List<ObjectNode> messages) {
        Set<String> roles =
                messages.stream().map(m -> m.path("role").asString("")).collect(Collectors.toSet());
        return tokenizer.encodeRendered(rendered.text(), rendered.fromRows(), roles);
    }

    /// The template for a conversation.
    ///
    /// @param tools whether it has tools: `tool_use` is for these, where the model has one
    /// @throws InputException if there is none, or it is not one
    ChatTemplate template(boolean tools) {
        String name = tools && sources.containsKey("tool_use") ? "tool_use" : "default";
        if (!sources.containsKey(name)) {
            throw new InputException("a conversation needs a chat template, and the model has none\n  name one with"
                    + " --chat-template; " + builtIn());
        }
        return parsed.computeIfAbsent(
                name, _ -> ChatTemplate.parse("the model's chat template '" + name + "'", sources.get(name)));
    }

    Rendered render(List<ObjectNode> messages, Optional<JsonNode> tools, boolean generationPrompt) {
        return template(tools.isPresent())
                .render(input(values(messages), tools).withGenerationPrompt(generationPrompt));
    }

    RenderInput input(List<Value> messages, Optional<JsonNode> tools) {
        Map<String, Value> variables = new HashMap<>();
        tokenizer.specialTokens().forEach((name, text) -> variables.put(name, Value.of(text)));
        return new RenderInput(messages, tools.map(JsonValues::of), Optional.empty(), false, variables, clock, false);
    }

    static List<Value> values(List<ObjectNode> messages) {
        List<Value> values = new ArrayList<>();
        messages.forEach(m -> values.add(JsonValues.of(m)));
        return values;
    }
}
