package org.sftnative.cli;

import java.util.Optional;

/// Where a chat comes from and goes to.
interface ChatConsole extends AutoCloseable {
    /// The next line that the user gives; empty at the end.
    Optional<String> line();

    /// A piece of an answer.
    void text(String piece);

    /// Something that is no answer.
    void notice(String text);

    /// What Ctrl-C does until the next line is read.
    void onInterrupt(Runnable action);

    /// Whether nobody hears any more.
    boolean deaf();

    @Override
    void close();
}
