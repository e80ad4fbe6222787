package org.sftnative.generate;

/// Hears one answer as it comes, on the thread that runs [BatchGenerator#step]: whoever is slow keeps all others
/// waiting. What it throws fails its own request, and no other. After [#ended] or [#failed], of which exactly one
/// comes, it hears nothing more.
public interface AnswerListener {
    /// A new token, the one that ends the text too.
    default void token(int id) {}

    /// The next piece of text: never empty, never half a character, never part of a text that ends it.
    default void text(String piece) {}

    /// The answer is whole.
    void ended(Answer answer);

    /// It will not be: the program, the machine or this listener failed.
    void failed(RuntimeException why);
}
