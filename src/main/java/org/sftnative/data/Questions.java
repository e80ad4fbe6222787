package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.RowSettings;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Rows of any format as questions: a prompt as training encodes it, and the answer that the row gives.
///
/// - `alpaca` and `completion` rows: the prompt; they need no `output` or `completion` here.
/// - Conversations: all turns but the assistant's last, if it has the last word, and the header of its answer.
/// - `text` rows: the text, to be continued.
public final class Questions {
    private final Tokenizer tokenizer;
    private final ChatFormat format;
    private final Optional<String> chatTemplate;
    private final TurnEnd turnEnd;

    /// @param chatTemplate a built-in one, or a Jinja file; empty: the model's own
    public Questions(Tokenizer tokenizer, Optional<String> chatTemplate) {
        this.tokenizer = tokenizer;
        this.chatTemplate = chatTemplate;
        format = ChatFormat.of(tokenizer, chatTemplate);
        turnEnd = format.isPresent() ? format.turnEnd() : TurnEnd.NONE;
    }

    /// The questions of files, in their order.
    ///
    /// @param accepts whether a question can be asked; throws if not, without the row's place
    /// @param bad counts what is broken or not accepted
    /// @throws InputException if a file cannot be read, or one row too many is broken
    public List<Question> read(List<Path> files, RowSettings settings, Predicate<Question> accepts, BadRows bad) {
        List<Question> questions = new ArrayList<>();
        for (Path file : RowFiles.resolve(files)) {
            try (ExampleSource rows = ExampleSource.ofQuestions(file, settings, chatTemplate, bad)) {
                while (rows.hasNext()) {
                    ExampleSource.Item item = rows.next();
                    try {
                        Question question = of(item);
                        if (accepts.test(question)) {
                            questions.add(question);
                        }
                    } catch (InputException e) {
                        bad.add(new InputException(item.file() + ", row " + item.row() + ": " + e.getMessage(), e));
                    }
                }
            }
        }
        return questions;
    }

    private Question of(ExampleSource.Item item) {
        return switch (item.example()) {
            case Example.Completion(String prompt, String response) ->
                question(item, tokenizer.encodeRow(prompt, true, false), given(response), TurnEnd.NONE);
            case Example.PlainText(String text) ->
                question(item, tokenizer.encodeRow(text, true, false), Optional.empty(), TurnEnd.NONE);
            case Example.Conversation(var rows, var tools) -> {
                List<ObjectNode> messages = new ArrayList<>();
                for (ObjectNode row : rows) {
                    ObjectNode message = row.deepCopy();
                    message.remove("weight");
                    messages.add(message);
                }
                boolean answered = !messages.isEmpty()
                        && messages.getLast().path("role").asString("").equals("assistant");
                Optional<String> expected =
                        answered ? text(messages.removeLast().path("content")) : Optional.empty();
                int[] prompt = format.withBos(format.encode(format.render(messages, tools, true), messages)
                        .ids());
                yield question(item, prompt, expected, turnEnd);
            }
        };
    }

    private static Question question(ExampleSource.Item item, int[] prompt, Optional<String> expected, TurnEnd end) {
        return new Question(item.file(), item.row(), prompt, expected, end);
    }

    private static Optional<String> given(String text) {
        return Optional.of(text).filter(t -> !t.isEmpty());
    }

    /// The text of a turn: a string, or the text parts of a list.
    private static Optional<String> text(JsonNode content) {
        return content.isArray()
                ? given(content.values().stream()
                        .map(part -> part.path("text").asString(""))
                        .collect(Collectors.joining()))
                : given(content.asString(""));
    }
}
