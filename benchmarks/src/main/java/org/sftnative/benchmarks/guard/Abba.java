package org.sftnative.benchmarks.guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.sftnative.benchmarks.Main;
import org.sftnative.benchmarks.Turns;

/// Runs the benchmarks of two builds in turns, a fork at a time: base, candidate, candidate, base, and so on.
/// Or the two forks of a pair side by side, an iteration at a time: where both have room in memory, and others
/// use the machine.
final class Abba {
    private Abba() {}

    /// Writes base-01.json, candidate-01.json, base-02.json .. into a folder.
    ///
    /// @param pairs forks of each build
    /// @param turns whether iterations take turns, and not only forks
    /// @param folder must be new or empty
    /// @param jmh further arguments of JMH
    /// @throws BadResults if a fork fails: nothing is judged then
    static void run(String base, String candidate, int pairs, boolean turns, Path folder, List<String> jmh)
            throws IOException, InterruptedException {
        Files.createDirectories(folder);
        try (var files = Files.list(folder)) {
            if (files.findAny().isPresent()) {
                throw new BadResults(folder + " is not empty");
            }
        }
        for (int i = 1; i <= pairs; i++) {
            boolean baseFirst = i % 2 == 1;
            Fork first = start(baseFirst ? "base" : "candidate", baseFirst ? base : candidate, i, turns, folder, jmh);
            if (!turns) {
                first.await();
            }
            start(baseFirst ? "candidate" : "base", baseFirst ? candidate : base, i, turns, folder, jmh)
                    .await();
            first.await();
        }
    }

    private record Fork(String name, Process process, Path log) {
        void await() throws InterruptedException {
            int status = process.waitFor();
            if (status != 0) {
                throw new BadResults(name + " failed with status " + status + ": see " + log);
            }
        }
    }

    private static Fork start(String side, String classPath, int number, boolean turns, Path folder, List<String> jmh)
            throws IOException {
        Path result = folder.resolve("%s-%02d.json".formatted(side, number));
        Path log = folder.resolve("%s-%02d.log".formatted(side, number));
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Djmh.ignoreLock=" + turns,
                "-cp",
                classPath,
                Main.class.getName()));
        command.addAll(jmh);
        command.addAll(List.of("-f", "1", "-rf", "json", "-rff", result.toString()));
        System.err.println(side + " " + number);
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        if (turns) {
            builder.environment().put(Turns.VARIABLE, folder.resolve("turn").toString());
        }
        return new Fork(side + ", fork " + number, builder.start(), log);
    }
}
