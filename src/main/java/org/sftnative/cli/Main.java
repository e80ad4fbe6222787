package org.sftnative.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.IntConsumer;

/// The program. The only class that exits.
public final class Main {
    private Main() {}

    /// See `sft-native --help`.
    public static void main(String[] args) {
        // UTF-8 whatever the locale: a model's Chinese answer is not a row of question marks in a container
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        PrintStream err = new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8);
        boolean terminal = System.console() != null && System.console().isTerminal();
        if (System.getenv("SFT_ENDS_WITH_INPUT") != null) {
            // a trial of a study: whoever started it holds its input open, and is dead when that ends
            Thread.ofPlatform().name("input").daemon().start(Main::haltAtEndOfInput);
        }
        Optional<IntConsumer> halt = Optional.of(Runtime.getRuntime()::halt);
        System.exit(new CommandLineProgram(new Rooms(), out, err, terminal, halt).run(args));
    }

    private static void haltAtEndOfInput() {
        try {
            System.in.transferTo(OutputStream.nullOutputStream());
        } catch (IOException e) {
            // no input is its end
        }
        Runtime.getRuntime().halt(128 + 9);
    }
}
