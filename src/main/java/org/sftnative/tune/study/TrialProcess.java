package org.sftnative.tune.study;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/// A trial's run in a process of its own. It is asked to stop by the run's stop file, then by SIGTERM, then killed. Its
/// standard input is a pipe that this process holds: when this process dies, however, the run sees its end and ends
/// too, so that no orphan trains on beside the process that takes its trial over.
public final class TrialProcess {
    /// Set for the process: its standard input is held, and the end of it is an order to end.
    static final String ENDS_WITH_INPUT = "SFT_ENDS_WITH_INPUT";

    private static final long NANOS = 1_000_000_000L;

    private final Process process;
    private final Path directory;
    private final Path log;
    private final long graceNanos;
    private long lookedNanos;
    private long waitedNanos;
    private boolean stopping;

    /// How trials are started.
    public interface Launcher {
        /// @param settings the trial's settings file
        List<String> command(Path settings);
    }

    private TrialProcess(Process process, Path directory, Path log, long graceSeconds) {
        this.process = process;
        this.directory = directory;
        this.log = log;
        this.graceNanos = graceSeconds * NANOS;
    }

    /// What a launcher of ranks may have told this process is not for its trials, each of which is a run of one
    /// process:
    /// `train` takes what is empty for unset.
    static final Map<String, String> NO_RANK = Map.of("RANK", "", "WORLD_SIZE", "", "SLURM_PROCID", "");

    /// @param working where it runs
    /// @param environment added to this process's
    /// @param wake called, on some thread, when the process ends
    static TrialProcess start(
            List<String> command,
            Path working,
            Path directory,
            Path log,
            Map<String, String> environment,
            long graceSeconds,
            Runnable wake) {
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        if (Files.isDirectory(working)) {
            builder.directory(working.toFile());
        }
        builder.environment().putAll(NO_RANK);
        builder.environment().putAll(environment);
        builder.environment().put(ENDS_WITH_INPUT, "1");
        try {
            Process process = builder.start();
            process.onExit().thenRun(wake);
            return new TrialProcess(process, directory, log, graceSeconds);
        } catch (IOException e) {
            throw new UncheckedIOException("a trial's process cannot be started: " + e.getMessage(), e);
        }
    }

    boolean ended() {
        return !process.isAlive();
    }

    int status() {
        return process.exitValue();
    }

    boolean stopping() {
        return stopping;
    }

    /// Asks it to stop, harder each time its grace is over. To be called again and again: time between two calls counts
    /// for a second at most, since a machine that stood still gave no grace.
    void stop() {
        long now = System.nanoTime();
        waitedNanos += stopping ? Math.min(now - lookedNanos, NANOS) : 0;
        lookedNanos = now;
        if (!stopping) {
            stopping = true;
            try {
                Files.writeString(directory.resolve("stop"), "");
            } catch (IOException e) {
                process.destroy();
            }
        } else if (waitedNanos > 2 * graceNanos) {
            process.destroyForcibly();
        } else if (waitedNanos > graceNanos) {
            process.destroy();
        }
    }

    /// Ends it at once, and waits until it is gone: another may be about to take its directory.
    void kill() {
        stopping = true;
        process.destroyForcibly();
        try {
            process.waitFor(10, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// Why it ended as it did: its status and what it said last.
    String why() {
        String said = lastLines();
        String how = status() > 128
                ? "killed by signal " + (status() - 128) + (status() == 137 ? " (out of memory?)" : "")
                : "exit status " + status();
        return said.isEmpty() ? how : how + ": " + said;
    }

    private String lastLines() {
        try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "r")) {
            byte[] tail = new byte[(int) Math.min(4096, file.length())];
            file.seek(file.length() - tail.length);
            file.readFully(tail);
            List<String> lines =
                    new String(tail, StandardCharsets.UTF_8).lines().toList();
            int error = lines.size() - 1;
            while (error > 0 && !lines.get(error).startsWith("error: ")) {
                error--;
            }
            List<String> last =
                    lines.isEmpty() || !lines.get(Math.max(error, 0)).startsWith("error: ")
                            ? lines.subList(Math.max(0, lines.size() - 1), lines.size())
                            : lines.subList(error, Math.min(lines.size(), error + 4));
            return last.stream().map(String::strip).collect(Collectors.joining(" / "));
        } catch (IOException e) {
            return "";
        }
    }
}
