package org.sftnative.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;

/// A chat at a terminal: lines are edited and come back with the arrow keys.
final class TerminalConsole implements ChatConsole {
    private static final String DIM = "\u001B[2m";
    private static final String PLAIN = "\u001B[0m";

    private final Terminal terminal;
    private final LineReader reader;
    private final AtomicReference<Runnable> interrupt = new AtomicReference<>(() -> {});

    TerminalConsole() {
        try {
            terminal = TerminalBuilder.builder()
                    .system(true)
                    .encoding(StandardCharsets.UTF_8)
                    .build();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        terminal.handle(Terminal.Signal.INT, _ -> interrupt.get().run());
        reader = LineReaderBuilder.builder()
                .terminal(terminal)
                .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true) // a ! is a !
                .variable(LineReader.SECONDARY_PROMPT_PATTERN, "  ")
                .build();
    }

    @Override
    public Optional<String> line() {
        interrupt.set(() -> {});
        while (true) {
            try {
                return Optional.of(reader.readLine("> "));
            } catch (UserInterruptException e) {
                if (e.getPartialLine().isEmpty()) {
                    notice("/exit or Ctrl-D ends");
                }
            } catch (EndOfFileException e) {
                return Optional.empty();
            }
        }
    }

    @Override
    public void text(String piece) {
        terminal.writer().print(harmless(piece));
        terminal.flush();
    }

    /// What a model writes must not move the cursor or change colours.
    private static String harmless(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints()
                .map(c -> Character.isISOControl(c) && c != '\n' && c != '\t' ? 0xFFFD : c)
                .forEach(out::appendCodePoint);
        return out.toString();
    }

    @Override
    public void notice(String text) {
        boolean dim = System.getenv("NO_COLOR") == null && !terminal.getType().startsWith("dumb");
        terminal.writer().println(dim ? DIM + harmless(text) + PLAIN : harmless(text));
        terminal.flush();
    }

    @Override
    public void onInterrupt(Runnable action) {
        interrupt.set(action);
    }

    @Override
    public boolean deaf() {
        return false; // a terminal that is gone sends SIGHUP
    }

    @Override
    public void close() {
        try {
            terminal.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
