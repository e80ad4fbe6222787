package org.sftnative.template;

import java.time.Clock;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What a chat template is rendered from, under the names that transformers gives it.
///
/// @param messages the conversation, usually maps with `role` and `content`; counted as text of a row
/// @param tools JSON schemas of tools, `None` to the template if empty; counted as text of a row
/// @param documents maps with `title` and `text`, `None` to the template if empty; counted as text of a row
/// @param addGenerationPrompt whether the text ends with the header of the assistant's next turn
/// @param variables further names, such as `bos_token`, `eos_token`, `enable_thinking`; not text of a row
///     unless passed through [Value#fromRow]
/// @param clock what `strftime_now` reads
/// @param marked whether the messages carry their own marks, by [Value#fromRow]; else all of them is text of a
///     row
public record RenderInput(
        List<Value> messages,
        Optional<Value> tools,
        Optional<Value> documents,
        boolean addGenerationPrompt,
        Map<String, Value> variables,
        Clock clock,
        boolean marked) {
    /// Copies the lists and maps.
    public RenderInput {
        messages = List.copyOf(messages);
        variables = Map.copyOf(variables);
    }

    /// A conversation alone: no tools or documents, no generation prompt, the system's clock.
    public static RenderInput of(List<Value> messages) {
        return new RenderInput(
                messages, Optional.empty(), Optional.empty(), false, Map.of(), Clock.systemDefaultZone(), false);
    }

    /// The same with tools.
    public RenderInput withTools(Value tools) {
        return new RenderInput(messages, Optional.of(tools), documents, addGenerationPrompt, variables, clock, marked);
    }

    /// The same with documents.
    public RenderInput withDocuments(Value documents) {
        return new RenderInput(messages, tools, Optional.of(documents), addGenerationPrompt, variables, clock, marked);
    }

    /// The same with or without the header of the assistant's next turn.
    public RenderInput withGenerationPrompt(boolean add) {
        return new RenderInput(messages, tools, documents, add, variables, clock, marked);
    }

    /// The same with one more variable.
    public RenderInput with(String name, Value value) {
        Map<String, Value> more = new LinkedHashMap<>(variables);
        more.put(name, value);
        return new RenderInput(messages, tools, documents, addGenerationPrompt, more, clock, marked);
    }

    /// The same at another time.
    public RenderInput withClock(Clock clock) {
        return new RenderInput(messages, tools, documents, addGenerationPrompt, variables, clock, marked);
    }

    /// The same with other messages, in which only what went through [Value#fromRow] is text of a row: how to
    /// find out where a template puts one of them.
    public RenderInput withMarked(List<Value> messages) {
        return new RenderInput(messages, tools, documents, addGenerationPrompt, variables, clock, true);
    }

    Scope scope() {
        Scope scope = new Scope();
        variables.forEach(scope::set);
        scope.set("messages", marked ? Value.of(messages) : Value.fromRow(Value.of(messages)));
        scope.set("tools", tools.map(t -> marked ? t : Value.fromRow(t)).orElseGet(Value::none));
        scope.set("documents", documents.map(d -> marked ? d : Value.fromRow(d)).orElseGet(Value::none));
        scope.set("add_generation_prompt", Value.of(addGenerationPrompt));
        return scope;
    }
}
