package org.sftnative.benchmarks.guard;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.sftnative.benchmarks.Main;
import org.sftnative.benchmarks.Turns;

/// Runs the benchmarks of two builds in turns, a fork at a time: base, candidate, candidate, base, and so on.
/// Or the two forks of a pair side by side, an iteration at a time: where both have room in memory, and others
/// use the machine. Both are held to one core then, the next pair to the next: since only one of them measures at a
/// time, what a core does to one it does to the other. On a core each, the cores differed by more than the code.
///
/// @param base class path of the one
/// @param candidate class path of the other
/// @param turns whether iterations take turns, and not only forks
/// @param cores that pairs are held to, each to one; empty: to none
/// @param folder of results; must be new or empty
/// @param jmh further arguments of JMH
record Abba(String base, String candidate, boolean turns, List<Integer> cores, Path folder, List<String> jmh) {
    private static final int TOLD = 5;

    /// One JVM to start.
    ///
    /// @param core that it is held to; -1: any
    record Fork(boolean candidate, int number, int core) {
        String name() {
            return "%s-%02d".formatted(candidate ? "candidate" : "base", number);
        }
    }

    /// Writes base-01.json, candidate-01.json, base-02.json .. and their logs.
    ///
    /// @param pairs forks of each build
    /// @throws BadResults if there are too few, or a fork fails or leaves no result: nothing is judged then
    void run(int pairs) throws IOException, InterruptedException {
        if (pairs < Verdict.FEWEST) {
            throw new BadResults(pairs + " pairs of forks, at least " + Verdict.FEWEST + " are needed");
        }
        Files.createDirectories(folder);
        try (var files = Files.list(folder)) {
            if (files.findAny().isPresent()) {
                throw new BadResults(folder + " is not empty");
            }
        }
        List<Fork> order = order(pairs);
        for (int i = 0; i < order.size(); i += 2) {
            Fork first = order.get(i);
            Fork second = order.get(i + 1);
            Process running = start(first);
            try {
                if (!turns) {
                    await(first, running);
                }
                await(second, start(second));
                await(first, running);
            } finally {
                end(running); // if the other failed
            }
        }
    }

    /// The forks as they start.
    List<Fork> order(int pairs) {
        List<Fork> order = new ArrayList<>();
        for (int i = 1; i <= pairs; i++) {
            boolean baseFirst = i % 2 == 1;
            int core = cores.isEmpty() ? -1 : cores.get((i - 1) % cores.size());
            order.add(new Fork(!baseFirst, i, core));
            order.add(new Fork(baseFirst, i, core));
        }
        return order;
    }

    List<String> command(Fork fork) {
        List<String> command = new ArrayList<>();
        if (fork.core() >= 0) {
            command.addAll(List.of("taskset", "-c", String.valueOf(fork.core())));
        }
        command.addAll(List.of(
                ProcessHandle.current().info().command().orElse("java"),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Djmh.ignoreLock=" + turns,
                "-cp",
                fork.candidate() ? candidate : base,
                Main.class.getName()));
        command.addAll(jmh);
        command.addAll(
                List.of("-f", "1", "-rf", "json", "-rff", file(fork, ".json").toString()));
        return command;
    }

    /// The cores that this process may use; none if there is no `taskset`.
    ///
    /// @param status lines of `/proc/self/status`
    /// @param path of programs, as in `PATH`
    static List<Integer> cores(List<String> status, String path) {
        List<Integer> allowed = status.stream()
                .filter(line -> line.startsWith("Cpus_allowed_list:"))
                .flatMap(line -> Stream.of(line.replaceFirst(".*:", "").strip().split(",")))
                .flatMapToInt(Abba::range)
                .boxed()
                .toList();
        boolean taskset = Stream.of(path.split(File.pathSeparator))
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, "taskset")));
        return taskset ? allowed : List.of();
    }

    private static IntStream range(String text) {
        String[] ends = text.split("-");
        return IntStream.rangeClosed(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]));
    }

    private Process start(Fork fork) throws IOException {
        System.err.println(fork.name() + (fork.core() < 0 ? "" : " on core " + fork.core()));
        ProcessBuilder builder = new ProcessBuilder(command(fork))
                .redirectErrorStream(true)
                .redirectOutput(file(fork, ".log").toFile());
        if (turns) {
            builder.environment().put(Turns.VARIABLE, folder.resolve("turn").toString());
        }
        return builder.start();
    }

    private void await(Fork fork, Process process) throws IOException, InterruptedException {
        int status = process.waitFor();
        if (status != 0 || !Files.exists(file(fork, ".json"))) {
            Path log = file(fork, ".log");
            List<String> lines = Files.readAllLines(log).stream()
                    .filter(line -> !line.isBlank())
                    .toList();
            throw new BadResults(fork.name()
                    + (status == 0 ? " left no result" : " failed with status " + status)
                    + ": " + log + " ends\n  "
                    + String.join("\n  ", lines.subList(Math.max(0, lines.size() - TOLD), lines.size())));
        }
    }

    private static void end(Process process) {
        process.descendants().forEach(ProcessHandle::destroy);
        process.destroy();
    }

    private Path file(Fork fork, String extension) {
        return folder.resolve(fork.name() + extension);
    }
}
