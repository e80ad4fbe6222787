package org.sftnative.web;

import java.time.Instant;
import java.util.List;
import java.util.Set;

/// A model that answers: how it makes tokens of texts, what ends its answers, and what computes them. Used by several
/// threads.
public interface ServedModel {
    /// What requests call it.
    String name();

    /// When it was made.
    Instant created();

    /// Most tokens of a prompt and its answer.
    int positions();

    /// Tokens of a conversation up to where the assistant's next turn begins.
    ///
    /// @throws org.sftnative.InputException if there is no chat template, or it refuses the conversation
    int[] prompt(List<ChatMessage> messages);

    /// Tokens of a text to be gone on with.
    int[] prompt(String text);

    /// What ends an answer in a conversation, or a text.
    Ends ends(boolean chat);

    /// What computes its answers.
    Engine engine();

    /// What ends an answer beside what the request says.
    ///
    /// @param tokens any of these
    /// @param texts any of these, themselves not heard
    record Ends(Set<Integer> tokens, List<String> texts) {}
}
