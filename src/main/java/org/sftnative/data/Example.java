package org.sftnative.data;

import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// What a row says, whatever its format.
public sealed interface Example {
    /// Text that is given, and text that the model shall learn to write after it.
    record Completion(String prompt, String response) implements Example {}

    /// Text that is learned whole.
    record PlainText(String text) implements Example {}

    /// Turns, each with `role` and `content` (text, or parts) and what else the row says of it.
    ///
    /// @param messages one object a turn, under the names that chat templates use; `weight` (0 or 1) says
    ///     whether the assistant's turn is trained
    /// @param tools JSON schemas of the tools, if there are any
    record Conversation(List<ObjectNode> messages, Optional<JsonNode> tools) implements Example {
        public Conversation {
            messages = List.copyOf(messages);
        }
    }
}
