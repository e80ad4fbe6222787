package org.sftnative.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.config.FormatChoice;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// How rows are to be read. Closed: every format is known here, and whoever handles formats handles all.
public sealed interface RowFormat {
    /// Every format, in the order of the settings.
    List<RowFormat> ALL = List.of(
            new Alpaca(), new Chat("role", "content"), new ShareGpt("from", "value"), new Completion(), new Text());

    /// What a row gives and what is to be learned of it.
    ///
    /// @throws InputException if the row lacks what this format needs
    Example example(Row row);

    /// Its name in settings.
    FormatChoice choice();

    /// What each row needs, for a message.
    String needs();

    /// The names of its fields, those that a row must have first.
    List<String> names();

    /// Whether a row has the fields by which this format is known.
    boolean fits(ObjectNode fields);

    /// This format where a chat template was named: rows that are not turns of themselves, and not plain text, are
    /// read as a conversation.
    ///
    /// @param chatTemplate its name in settings
    default RowFormat under(String chatTemplate) {
        return this;
    }

    private static ObjectNode turn(String role, String content) {
        return JsonNodeFactory.instance.objectNode().put("role", role).put("content", content);
    }

    /// `instruction`, `input` (may be missing or empty) and `output`, in the tutorial's template:
    /// `### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n`.
    /// The Input section stays when it is empty.
    ///
    /// A row with `system` or `history` (pairs of what was asked and answered before) is a conversation: the user's
    /// turn is the instruction and, if there is one, a blank line and the input.
    ///
    /// @param turns whether every row is such a conversation: another chat template than `alpaca` was named
    record Alpaca(boolean turns) implements RowFormat {
        private static final String NEEDS = "each row needs 'instruction', 'output' and, if wanted, 'input'";
        private static final String PAIR = "'history' is a list of [what was asked, what was answered]";

        public Alpaca() {
            this(false);
        }

        @Override
        public RowFormat under(String chatTemplate) {
            return new Alpaca(!chatTemplate.equals("alpaca"));
        }

        @Override
        public Example example(Row row) {
            String instruction = row.text("instruction", NEEDS);
            String input = row.find("input", NEEDS).orElse("");
            Optional<String> system = row.find("system", NEEDS).filter(text -> !text.isEmpty());
            Optional<ArrayNode> history = row.array("history", PAIR);
            String output = row.text("output", NEEDS);
            if (!turns && system.isEmpty() && history.isEmpty()) {
                return new Example.Completion(prompt(instruction, input), output);
            }
            List<ObjectNode> messages = new ArrayList<>();
            system.ifPresent(text -> messages.add(turn("system", text)));
            int number = 0;
            for (JsonNode pair : history.map(ArrayNode::values).orElse(List.of())) {
                number++;
                if (!pair.isArray() || pair.size() != 2) {
                    throw row.wrong(
                            "pair " + number + " of 'history' is "
                                    + (pair.isArray() ? "a list of " + pair.size() : Json.kind(pair)),
                            PAIR);
                }
                String what = "pair " + number + " of 'history'";
                messages.add(turn("user", row.text(pair.get(0), what, PAIR)));
                messages.add(turn("assistant", row.text(pair.get(1), what, PAIR)));
            }
            messages.add(turn("user", input.isEmpty() ? instruction : instruction + "\n\n" + input));
            messages.add(turn("assistant", output));
            return new Example.Conversation(messages, Optional.empty());
        }

        /// The prompt of an instruction: what a model trained on such rows is asked.
        public static String prompt(String instruction, String input) {
            return "### Instruction:\n" + instruction + "\n\n### Input:\n" + input + "\n\n### Response:\n";
        }

        @Override
        public FormatChoice choice() {
            return FormatChoice.ALPACA;
        }

        @Override
        public String needs() {
            return NEEDS;
        }

        @Override
        public List<String> names() {
            return List.of("instruction", "output", "input", "system", "history");
        }

        @Override
        public boolean fits(ObjectNode fields) {
            return fields.has("instruction") && fields.has("output");
        }
    }

    /// `messages` or `conversations`: turns with `role` and `content`; a row may have `tools` and `system`.
    ///
    /// @param role the name of a turn's role in the rows
    /// @param content the name of a turn's content in the rows
    record Chat(String role, String content) implements RowFormat {
        @Override
        public Example example(Row row) {
            boolean messages = row.fields().has("messages") || !row.fields().has("conversations");
            return Turns.conversation(row, messages ? "messages" : "conversations", role, content, needs());
        }

        @Override
        public FormatChoice choice() {
            return FormatChoice.CHAT;
        }

        @Override
        public String needs() {
            return "each row needs 'messages' or 'conversations', a list of turns with '" + role + "' and '" + content
                    + "'";
        }

        @Override
        public List<String> names() {
            return List.of("messages", "conversations", "role", "content", "tools", "system");
        }

        @Override
        public boolean fits(ObjectNode fields) {
            return fields.has("messages") || Turns.areIn(fields.path("conversations"), role);
        }
    }

    /// ShareGPT: `conversations`, turns with `from` (human, gpt, system, function_call, observation) and `value`; a
    /// row may have `tools` and `system`.
    ///
    /// @param from the name of a turn's role in the rows
    /// @param value the name of a turn's content in the rows
    record ShareGpt(String from, String value) implements RowFormat {
        @Override
        public Example example(Row row) {
            return Turns.conversation(row, "conversations", from, value, needs());
        }

        @Override
        public FormatChoice choice() {
            return FormatChoice.SHAREGPT;
        }

        @Override
        public String needs() {
            return "each row needs 'conversations', a list of turns with '" + from + "' and '" + value + "'";
        }

        @Override
        public List<String> names() {
            return List.of("conversations", "from", "value", "tools", "system");
        }

        @Override
        public boolean fits(ObjectNode fields) {
            return Turns.areIn(fields.path("conversations"), from);
        }
    }

    /// `prompt` and `completion`: two texts, or two lists of turns, of which those of the completion are trained
    /// (TRL's two prompt-completion formats).
    ///
    /// @param turns whether two texts are a user's and an assistant's turn: a chat template was named
    record Completion(boolean turns) implements RowFormat {
        private static final String NEEDS = "each row needs 'prompt' and 'completion', two texts or two lists of turns";

        public Completion() {
            this(false);
        }

        @Override
        public RowFormat under(String chatTemplate) {
            return new Completion(true);
        }

        @Override
        public Example example(Row row) {
            if (row.fields().path("prompt").isArray()
                    || row.fields().path("completion").isArray()) {
                return Turns.promptAndCompletion(row, NEEDS);
            }
            String prompt = row.text("prompt", NEEDS);
            String completion = row.text("completion", NEEDS);
            return turns
                    ? new Example.Conversation(
                            List.of(turn("user", prompt), turn("assistant", completion)), Optional.empty())
                    : new Example.Completion(prompt, completion);
        }

        @Override
        public FormatChoice choice() {
            return FormatChoice.COMPLETION;
        }

        @Override
        public String needs() {
            return NEEDS;
        }

        @Override
        public List<String> names() {
            return List.of("prompt", "completion", "tools");
        }

        @Override
        public boolean fits(ObjectNode fields) {
            return fields.has("prompt") && fields.has("completion");
        }
    }

    /// `text`: every token is trained.
    record Text() implements RowFormat {
        private static final String NEEDS = "each row needs 'text'";

        @Override
        public Example example(Row row) {
            return new Example.PlainText(row.text("text", NEEDS));
        }

        @Override
        public FormatChoice choice() {
            return FormatChoice.TEXT;
        }

        @Override
        public String needs() {
            return NEEDS;
        }

        @Override
        public List<String> names() {
            return List.of("text");
        }

        @Override
        public boolean fits(ObjectNode fields) {
            return fields.has("text");
        }
    }
}
