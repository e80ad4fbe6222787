package org.sftnative.tensor;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What libtorch's errors say, in this program's words. libtorch throws one exception for everything, with a message
/// that goes on for a screen: source lines, a C++ stack trace, advice on environment variables.
public final class TorchErrors {
    private static final String LESS_MEMORY =
            "\n  need less: --gradient-checkpointing, a smaller --micro-batch-tokens or"
                    + " --max-length; `info MODEL` says what training needs";
    private static final Pattern CUDA_MEMORY = Pattern.compile(
            "CUDA out of memory\\. Tried to allocate ([0-9.]+ \\w+)\\.(?: *(GPU \\d+ has .*?)\\.\\s)?", Pattern.DOTALL);
    private static final Pattern CPU_MEMORY =
            Pattern.compile("can't allocate memory: you tried to allocate (\\d+) bytes");
    /// Where in libtorch's sources, before what is wrong.
    private static final Pattern ORIGIN = Pattern.compile("^\\[enforce fail at [^]]*]\\s*");

    private TorchErrors() {}

    /// Whether libtorch, on a card or on the CPU, had not the memory that it was asked for: less work at a time may
    /// have it.
    public static boolean isOutOfMemory(Throwable error) {
        String message = error.getMessage() == null ? "" : error.getMessage();
        return CUDA_MEMORY.matcher(message).find()
                || CPU_MEMORY.matcher(message).find()
                || message.contains("std::bad_alloc");
    }

    /// Explains an error of libtorch or of memory: one line, and what to do on an indented one.
    ///
    /// @return empty if it is neither
    public static Optional<String> explain(Throwable error) {
        if (error instanceof OutOfMemoryError) {
            return Optional.of("out of memory: Java's heap is full"
                    + "\n  give it more: java -Xmx8g, or SFT_JAVA_OPTS=-Xmx8g with scripts/sft");
        }
        String message = error.getMessage() == null ? "" : error.getMessage();
        Matcher cuda = CUDA_MEMORY.matcher(message);
        if (cuda.find()) {
            String card = cuda.group(2) == null ? "" : "; " + cuda.group(2);
            return Optional.of("out of GPU memory: " + cuda.group(1) + " more were needed" + card + LESS_MEMORY);
        }
        Matcher cpu = CPU_MEMORY.matcher(message);
        if (cpu.find()) {
            return Optional.of("out of memory: " + cpu.group(1) + " bytes more were needed" + LESS_MEMORY);
        }
        // the presets throw no class of their own
        if (error.getClass() != RuntimeException.class) {
            return Optional.empty();
        }
        return ORIGIN.matcher(message)
                .replaceFirst("")
                .lines()
                .map(String::strip)
                .filter(line -> !line.isEmpty())
                .findFirst()
                .map(line -> "libtorch failed: " + line
                        + "\n  this is not about your input; --stacktrace shows where it happened");
    }
}
