package org.sftnative.benchmarks.guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.sftnative.benchmarks.Main;

/// Runs the benchmarks of two builds in turns, a fork at a time: base, candidate, candidate, base, and so on.
final class Abba {
    private Abba() {}

    /// Writes base-01.json, candidate-01.json, base-02.json .. into a folder.
    ///
    /// @param pairs forks of each build
    /// @param folder must be new or empty
    /// @param jmh further arguments of JMH
    /// @throws BadResults if a fork fails: nothing is judged then
    static void run(String base, String candidate, int pairs, Path folder, List<String> jmh)
            throws IOException, InterruptedException {
        Files.createDirectories(folder);
        try (var files = Files.list(folder)) {
            if (files.findAny().isPresent()) {
                throw new BadResults(folder + " is not empty");
            }
        }
        for (int i = 1; i <= pairs; i++) {
            boolean baseFirst = i % 2 == 1;
            fork(baseFirst ? "base" : "candidate", baseFirst ? base : candidate, i, folder, jmh);
            fork(baseFirst ? "candidate" : "base", baseFirst ? candidate : base, i, folder, jmh);
        }
    }

    private static void fork(String side, String classPath, int number, Path folder, List<String> jmh)
            throws IOException, InterruptedException {
        Path result = folder.resolve("%s-%02d.json".formatted(side, number));
        Path log = folder.resolve("%s-%02d.log".formatted(side, number));
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                classPath,
                Main.class.getName()));
        command.addAll(jmh);
        command.addAll(List.of("-f", "1", "-rf", "json", "-rff", result.toString()));
        System.err.println(side + " " + number);
        int status = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start()
                .waitFor();
        if (status != 0) {
            throw new BadResults(side + ", fork " + number + " failed with status " + status + ": see " + log);
        }
    }
}
