package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// OpenAI's own clients against the server: `openai` of the Python in SFT_PYTHON, and of npm, which is fetched into a
/// temporary folder.
@Tag("clients")
class OpenAiClientsTest {
    private static final Path CLIENTS = Path.of("src/test/resources/clients").toAbsolutePath();

    @TempDir
    Path dir;

    @Test
    void thePythonClientIsContent() throws Exception {
        String python = Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3");
        served(List.of(python, CLIENTS.resolve("client.py").toString()));
    }

    @Test
    void theJavaScriptClientIsContent() throws Exception {
        Files.copy(CLIENTS.resolve("client.mjs"), dir.resolve("client.mjs"));
        run(List.of("npm", "install", "--no-audit", "--no-fund", "openai@6.49.0"));
        served(List.of("node", "client.mjs"));
    }

    private void served(List<String> command) throws Exception {
        try (Served served = new Served()) {
            String url = served.uri("/v1").toString();
            String said = run(List.of(command.getFirst(), command.getLast(), url, "base"));
            assertTrue(said.endsWith(" is content\n"), said);
            ServeTest.until(() -> served.model.engine().reservedTokens() == 0);
            assertEquals(List.of(), served.problems);
        }
    }

    private String run(List<String> command) throws Exception {
        Path said = dir.resolve("said.txt");
        Process process = new ProcessBuilder(command)
                .directory(dir.toFile())
                .redirectErrorStream(true)
                .redirectOutput(said.toFile())
                .start();
        if (!process.waitFor(5, TimeUnit.MINUTES)) {
            process.destroyForcibly();
        }
        assertEquals(
                0,
                process.waitFor(),
                () -> command + "\n" + Program.contents(dir).get("said.txt"));
        return Files.readString(said);
    }
}
