package org.sftnative.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.sftnative.InputException;

/// A chat through pipes: a question a line, answers and nothing else on the output.
final class PipeConsole implements ChatConsole {
    private final BufferedReader in;
    private final PrintStream out;
    private final PrintStream err;

    PipeConsole(InputStream in, PrintStream out, PrintStream err) {
        // a decoder, and not a charset: that would silently read other letters
        this.in = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8.newDecoder()));
        this.out = out;
        this.err = err;
    }

    @Override
    public Optional<String> line() {
        try {
            return Optional.ofNullable(in.readLine());
        } catch (CharacterCodingException e) {
            throw new InputException("the input is not UTF-8 text", e);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void text(String piece) {
        out.print(piece);
        out.flush();
    }

    @Override
    public void notice(String text) {
        err.println(text);
    }

    @Override
    public void onInterrupt(Runnable action) {
        // SIGINT ends the program
    }

    @Override
    public boolean deaf() {
        return out.checkError();
    }

    @Override
    public void close() {
        out.flush();
    }
}
