package org.sftnative.fuzz;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// Feeds a target and holds it to its bounds: a value or an [InputException], within seconds, and within memory in
/// proportion to the input. An input that breaks them is kept in `target/fuzz`.
final class Fuzzer {
    private static final Duration LOOK = Duration.ofMillis(100);

    /// Of one input, on the wall: machines are shared, so it is far from what inputs take (microseconds).
    private static final Duration LONGEST = Duration.ofSeconds(20);

    private static final long MEMORY_A_BYTE = 2_000;
    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

    private final FuzzTarget target;
    private final Path folder;
    private volatile byte[] current = new byte[0];
    private volatile long since = Long.MAX_VALUE;
    private long refused;
    private long read;

    /// @param folder for the target's files
    Fuzzer(FuzzTarget target, Path folder) throws IOException {
        this.target = target;
        this.folder = Files.createDirectories(folder.resolve(target.name()));
    }

    /// What was tried.
    record Outcome(long read, long refused, double seconds) {
        long tried() {
            return read + refused;
        }
    }

    /// The target's seeds and kept inputs.
    static List<byte[]> corpus(FuzzTarget target) {
        List<byte[]> inputs = new ArrayList<>(target.seeds());
        Path kept = Path.of("src/test/resources/fuzz").resolve(target.name());
        if (Files.isDirectory(kept)) {
            try (Stream<Path> files = Files.list(kept)) {
                for (Path file : files.sorted().toList()) {
                    inputs.add(Files.readAllBytes(file));
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return inputs;
    }

    /// Every input of the corpus as it is.
    Outcome replay() {
        return watched(() -> corpus(target).forEach(this::feed));
    }

    /// Inputs from `from` until `to`, or until the time is up. Input N is the same in every run.
    Outcome run(long from, long to, Duration most) {
        List<byte[]> corpus = corpus(target);
        long end = System.nanoTime() + most.toNanos();
        return watched(() -> {
            for (long n = from; n < to && System.nanoTime() < end; n++) {
                Mutator mutator =
                        new Mutator(n * 0x9E3779B97F4A7C15L + target.name().hashCode());
                byte[] input = mutator.mutated(corpus);
                feed(n % 5 == 0 ? input : target.repair().apply(input));
            }
        });
    }

    /// One input, on this thread.
    void feed(byte[] input) {
        current = input;
        since = System.nanoTime();
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            target.reader().read(input, folder);
            read++;
        } catch (InputException e) {
            refused++;
            if (e.getMessage().isBlank() || e.getMessage().length() > 10_000 || looksInternal(e.getMessage())) {
                throw broken("a message that is no message: " + e.getMessage(), e);
            }
        } catch (Throwable e) {
            throw broken("neither a value nor an InputException", e);
        }
        long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
        if (allocated > target.memory() + MEMORY_A_BYTE * input.length) {
            throw broken(allocated + " bytes allocated for " + input.length, null);
        }
    }

    /// Class names and the like are not for users.
    private static boolean looksInternal(String message) {
        return message.contains("REDACTED")
                || message.contains("StreamRead")
                || message.contains("JacksonException")
                || message.contains("tools.jackson")
                || message.contains("java.lang.");
    }

    private AssertionError broken(String what, Throwable cause) {
        return new AssertionError(target.name() + ": " + what + ", by the input kept as " + keep(current), cause);
    }

    private Path keep(byte[] input) {
        try {
            Path folder = Files.createDirectories(Path.of("target/fuzz").resolve(target.name()));
            return Files.write(folder.resolve("crash-%08x".formatted(java.util.Arrays.hashCode(input))), input);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Runs on a thread of its own, so that an input without end is told from a long run.
    private Outcome watched(Runnable work) {
        long start = System.nanoTime();
        List<Throwable> failed = new ArrayList<>();
        Thread worker = new Thread(null, work, "fuzz-" + target.name(), 1 << 20); // a user's thread has 1 MiB, or 8
        worker.setDaemon(true);
        worker.setUncaughtExceptionHandler((_, e) -> failed.add(e));
        since = System.nanoTime();
        worker.start();
        try {
            long looks = 0; // and not the clock, which goes on while this process is stopped
            for (long last = since; !worker.join(LOOK); last = since) {
                looks = last == since ? looks + 1 : 0;
                if (looks > LONGEST.dividedBy(LOOK)) {
                    AssertionError hang = broken("not done after " + LONGEST.toSeconds() + " s", null);
                    hang.setStackTrace(worker.getStackTrace());
                    throw hang;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
        if (!failed.isEmpty()) {
            throw new AssertionError(failed.getFirst().getMessage(), failed.getFirst());
        }
        return new Outcome(read, refused, (System.nanoTime() - start) / 1e9);
    }
}
