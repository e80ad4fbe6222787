package org.sftnative.data;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.sftnative.InputException;
import org.sftnative.template.ChatTemplate;
import org.sftnative.template.JsonValues;
import org.sftnative.template.RenderInput;
import org.sftnative.template.Rendered;
import org.sftnative.template.Span;
import org.sftnative.template.Value;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Which characters of a rendered conversation each of the assistant's turns is.
///
/// A template with generation blocks says so itself. For another, a turn is found in the whole rendering by the marks
/// of its own text (content, reasoning, tool calls), so that templates which rewrite or leave out earlier turns are
/// no exception. Before that text, what the template writes after the header of the turn (the generation prompt)
/// belongs to the turn, such as an empty `<think>` block; after it, what the template writes up to and with
/// the first special tokens, if it writes these also where the turn is the last one. A new line after the end of a
/// turn is not trained.
final class TurnSpans {
    private static final Pattern BLOCKS = Pattern.compile("\\{%[-+]?\\s*generation\\b");

    private final ChatFormat format;
    private final SpecialTokens specialTokens;
    private final List<ObjectNode> messages;
    private final Optional<JsonNode> tools;
    private final ChatTemplate template;
    private final Rendered whole;
    private final RenderInput input;

    /// @param messages as the template takes them
    /// @param whole what it made of them
    TurnSpans(
            ChatFormat format,
            SpecialTokens specialTokens,
            List<ObjectNode> messages,
            Optional<JsonNode> tools,
            Rendered whole) {
        this.format = format;
        this.specialTokens = specialTokens;
        this.messages = messages;
        this.tools = tools;
        this.template = format.template(tools.isPresent());
        this.whole = whole;
        this.input = format.input(ChatFormat.values(messages), tools);
    }

    /// The spans of each assistant's turn, by the index of its message. One that the template leaves out has none.
    Map<Integer, List<Span>> find() {
        List<Integer> turns = new ArrayList<>();
        for (int i = 0; i < messages.size(); i++) {
            if (messages.get(i).path("role").asString("").equals("assistant")) {
                turns.add(i);
            }
        }
        return BLOCKS.matcher(template.source()).find() ? byBlocks(turns) : byMarks(turns);
    }

    private Map<Integer, List<Span>> byBlocks(List<Integer> turns) {
        Map<Integer, List<Span>> spans = new LinkedHashMap<>();
        turns.forEach(turn -> spans.put(turn, new ArrayList<>()));
        List<Span> blocks = whole.generation();
        if (blocks.size() == turns.size()) {
            for (int i = 0; i < turns.size(); i++) {
                spans.get(turns.get(i)).add(blocks.get(i));
            }
            return spans;
        }
        TreeMap<Integer, Integer> starts = new TreeMap<>(); // where a turn's text begins
        for (int turn : turns) {
            hull(marked(turn, messages.size())).ifPresent(hull -> starts.put(hull.start(), turn));
        }
        for (Span block : blocks) {
            var within = starts.lowerEntry(block.end());
            if (within != null) {
                spans.get(within.getValue()).add(block);
            }
        }
        return spans;
    }

    private Map<Integer, List<Span>> byMarks(List<Integer> turns) {
        Map<Integer, List<Span>> spans = new LinkedHashMap<>();
        int before = 0; // the end of the turn before
        for (int turn : turns) {
            Optional<Span> hull = hull(marked(turn, messages.size()));
            Optional<Rendered> last = tryMarked(turn, turn + 1);
            Optional<Span> span = hull.isPresent()
                    ? Optional.of(extended(hull.get(), before, prompt(turn), last))
                    : withoutText(turn, last);
            spans.put(turn, span.stream().toList());
            before = span.map(Span::end).orElse(before);
        }
        return spans;
    }

    private Span extended(Span text, int before, String prompt, Optional<Rendered> last) {
        int start = text.start();
        for (String header : headers(prompt)) {
            int at = whole.text().lastIndexOf(header, text.start() - header.length());
            if (at >= before && !fromRow(at + header.length(), text.start())) {
                start = at + header.length();
                break;
            }
        }
        String tail = last.flatMap(r -> hull(r).map(h -> ending(r.text(), h.end())))
                .orElse(""); // it takes no half of a conversation: what ends the turn is not known
        if (whole.text().startsWith(tail, text.end())) {
            return new Span(start, text.end() + tail.length());
        }
        // a turn that is not the last ends with another token: the first there is, if it comes before any row's text
        int end = specialTokens.in(whole.text(), whole.fromRows(), Set.of()).stream()
                .filter(token -> token.template() && token.start() >= text.end())
                .mapToInt(SpecialTokens.Found::end)
                .findFirst()
                .orElse(text.end());
        return new Span(start, fromRow(text.end(), end) ? text.end() : end);
    }

    /// A turn of which the template shows nothing but its header and its end.
    private Optional<Span> withoutText(int turn, Optional<Rendered> last) {
        try {
            String header =
                    format.render(messages.subList(0, turn), tools, true).text();
            if (last.isEmpty() || !last.get().text().startsWith(header)) {
                return Optional.empty();
            }
            String end = ending(last.get().text(), header.length());
            return !end.isEmpty() && whole.text().startsWith(header + end)
                    ? Optional.of(new Span(header.length(), header.length() + end.length()))
                    : Optional.empty();
        } catch (InputException _) {
            return Optional.empty(); // it takes no half of a conversation
        }
    }

    /// What ends a turn after its text: up to the first special token and those that follow it without a gap, or all
    /// of it but white space.
    private String ending(String text, int from) {
        int end = -1;
        for (SpecialTokens.Found token : specialTokens.in(text, List.of(), Set.of())) {
            if (token.start() >= from && (end < 0 || token.start() == end)) {
                end = token.end();
            }
        }
        return end < 0 ? text.substring(from).stripTrailing() : text.substring(from, end);
    }

    /// What the template writes to let the assistant speak after the messages before a turn.
    private String prompt(int turn) {
        try {
            String without =
                    format.render(messages.subList(0, turn), tools, false).text();
            String with = format.render(messages.subList(0, turn), tools, true).text();
            return with.startsWith(without) ? with.substring(without.length()) : "";
        } catch (InputException _) {
            return ""; // it takes no half of a conversation
        }
    }

    /// Headers to look for: a prompt may write more than the header (`<think>`), which a past turn has not.
    private static List<String> headers(String prompt) {
        int line = prompt.indexOf('\n');
        return prompt.isEmpty()
                ? List.of()
                : line < 0 || line + 1 == prompt.length()
                        ? List.of(prompt)
                        : List.of(prompt, prompt.substring(0, line + 1));
    }

    private boolean fromRow(int from, int to) {
        return whole.fromRows().stream().anyMatch(s -> s.start() < to && s.end() > from);
    }

    private Optional<Rendered> tryMarked(int turn, int count) {
        try {
            return Optional.of(marked(turn, count));
        } catch (InputException _) {
            return Optional.empty(); // it takes no half of a conversation
        }
    }

    /// The first messages rendered, with only the text of one turn marked as a row's.
    private Rendered marked(int turn, int count) {
        List<Value> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Map<String, Value> message = new LinkedHashMap<>();
            for (var field : messages.get(i).properties()) {
                Value value = JsonValues.of(field.getValue());
                boolean text = i == turn && !field.getKey().equals("role");
                message.put(field.getKey(), text ? Value.fromRow(value) : value);
            }
            values.add(Value.of(message));
        }
        return template.render(input.withMarked(values));
    }

    private static Optional<Span> hull(Rendered marked) {
        List<Span> spans = marked.fromRows();
        return spans.isEmpty()
                ? Optional.empty()
                : Optional.of(new Span(spans.getFirst().start(), spans.getLast().end()));
    }
}
