package org.sftnative.benchmarks.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The faults that `scripts/bench --planted` plants, and that the guard must catch, still fit the sources.
class PlantedTest {
    @ParameterizedTest
    @ValueSource(strings = {"leak", "host", "kernel"})
    void faultFitsTheSources(String fault) throws IOException, InterruptedException {
        Process git = new ProcessBuilder("git", "apply", "--check", "benchmarks/planted/" + fault + ".patch")
                .directory(Path.of("..").toFile())
                .redirectErrorStream(true)
                .start();
        String said = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, git.waitFor(), said);
    }
}
