package org.sftnative.web;

import java.util.List;

/// What an answer is wanted to.
sealed interface Prompt {
    /// A conversation.
    record Chat(List<ChatMessage> messages) implements Prompt {}

    /// A text to go on with.
    record Text(String text) implements Prompt {}

    /// Token ids to go on with.
    record Tokens(int[] ids) implements Prompt {}
}
