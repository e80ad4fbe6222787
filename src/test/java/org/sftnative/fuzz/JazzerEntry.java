package org.sftnative.fuzz;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// Where Jazzer enters, for `scripts/fuzz`.
public final class JazzerEntry {
    private static final String READER = System.getProperty("fuzz.reader", "");
    private static final FuzzTarget TARGET = FuzzTargets.all().stream()
            .filter(target -> target.name().equals(READER))
            .findFirst()
            .orElseGet(() -> FuzzTargets.all().getFirst());
    private static final Fuzzer FUZZER = fuzzer();

    private JazzerEntry() {}

    /// One input.
    public static void fuzzerTestOneInput(byte[] input) {
        FUZZER.feed(input);
    }

    /// Prints the names of the readers, and puts nothing else to work.
    public static void main(String[] args) {
        FuzzTargets.all().forEach(target -> System.out.println(target.name()));
    }

    private static Fuzzer fuzzer() {
        try {
            Path memory = Path.of("/dev/shm");
            return new Fuzzer(
                    TARGET,
                    Files.isWritable(memory)
                            ? Files.createTempDirectory(memory, "fuzz")
                            : Files.createTempDirectory("fuzz"));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
