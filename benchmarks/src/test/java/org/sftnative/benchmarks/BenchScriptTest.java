package org.sftnative.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// What `scripts/bench` refuses before it builds anything: with 2, for 1 is a regression.
class BenchScriptTest {
    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            value = {
                "--against, no revision ''",
                "--against nowhere, no revision 'nowhere'",
                "--against HEAD --pairs, --pairs '' is no number",
                "--against HEAD --turns --pairs -1, --pairs '-1' is no number",
                "--planted, no fault ''",
                "--planted slow, no fault 'slow'"
            })
    void badArgumentsProveNothing(String arguments, String error) throws IOException, InterruptedException {
        Process bench = new ProcessBuilder(("scripts/bench " + arguments).split(" "))
                .directory(Path.of("..").toFile())
                .redirectErrorStream(true)
                .start();
        String said = new String(bench.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(2, bench.waitFor(), said);
        assertEquals("error: " + error, said.lines().findFirst().orElseThrow());
    }
}
