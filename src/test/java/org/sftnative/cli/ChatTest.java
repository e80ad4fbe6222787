package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.config.ChatSettings;
import org.sftnative.config.SettingValue;

/// A conversation through pipes.
class ChatTest {
    private static final String QUESTION = "什么是光合作用？";

    @TempDir
    Path dir;

    private String notices;

    @Test
    void aQuestionIsAnsweredAsGenerateAnswersIt() {
        for (List<String> how : List.of(List.of("temperature=0"), List.of("temperature=1.2", "seed=7", "top_p=0.9"))) {
            List<String> args = new ArrayList<>(List.of(
                    "generate", "--model", Program.BASE.toString(), "--threads", "1", "--max-new-tokens", "30"));
            how.forEach(setting -> args.add("--" + setting.replace('_', '-')));
            args.addAll(List.of("--prompt", QUESTION));
            String expected =
                    Program.run(args.toArray(String[]::new)).succeeded().out();
            assertEquals(expected, chat(QUESTION + "\n", how.toArray(String[]::new)));
        }
    }

    @Test
    void resetForgetsAndTheSecondQuestionOtherwiseHearsTheFirst() {
        String once = chat(QUESTION + "\n");
        assertEquals(once + once, chat(QUESTION + "\n/reset\n" + QUESTION + "\n"));
        assertTrue(!chat(QUESTION + "\n" + QUESTION + "\n").equals(once + once));
    }

    @Test
    void theSystemsTurnIsHeardAndKeptByReset() {
        String with = chat(QUESTION + "\n", "system=Answer in English.");
        assertTrue(!with.equals(chat(QUESTION + "\n")));
        assertEquals(with, chat("/system  Answer in English.\n" + QUESTION + "\n"));
        assertEquals(with, chat("/reset\n/exit\n" + QUESTION, "system=Answer in English.") + with); // nothing after it
        assertEquals(chat(QUESTION + "\n"), chat("/system\n" + QUESTION + "\n", "system=Answer in English."));
    }

    @Test
    void aSavedConversationIsARowThatTrainReads() throws Exception {
        Path file = dir.resolve("said.jsonl");
        String said = chat("Hi\n/save " + file + "\nMore\n/save " + file + "\n", "system=Be brief.");
        List<String> rows = Files.readAllLines(file);
        assertEquals(2, rows.size());
        assertTrue(rows.getFirst().startsWith("{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},"));
        String answer = Served.JSON
                .readTree(rows.getFirst())
                .path("messages")
                .get(2)
                .get("content")
                .stringValue();
        assertTrue(said.startsWith(answer + "\n"), said);
        assertTrue(notices.contains("saved 3 turns") && notices.contains("saved 5 turns"), notices);
        String shown = Program.run("data", file.toString(), "--model", Program.BASE.toString(), "--validate")
                .succeeded()
                .out();
        assertTrue(shown.contains("2 rows are good"), shown);
        chat("Hi\n/save " + dir + "\n/save\n");
        assertTrue(notices.contains("cannot write " + dir) && notices.contains("/save needs a file"), notices);
    }

    @Test
    void aLongConversationForgetsItsFirstTurnsAndSaysSo() {
        String question = "word ".repeat(400);
        chat((question + "\n").repeat(3), "max_new_tokens=4");
        assertTrue(notices.contains("turns are forgotten"), notices);
        // a question that can never fit is refused, and the conversation goes on
        String answers = chat("Hi\n" + "word ".repeat(3000) + "\n/reset\nHi\n");
        assertTrue(notices.contains("say it shorter"), notices);
        String once = chat("Hi\n");
        assertEquals(once + once, answers);
    }

    @Test
    void anUnknownCommandIsSaidAndNotAsked() {
        assertEquals("", chat("/rest\n\n  \n"));
        assertEquals("unknown command /rest; /help shows those that there are\n", notices);
        chat("/help\n");
        assertTrue(notices.contains("/system TEXT"), notices);
    }

    @Test
    void inputThatIsNotUtf8IsRefused() {
        byte[] latin = "caf\u00e9\n".getBytes(StandardCharsets.ISO_8859_1);
        assertThrows(InputException.class, () -> chat(latin));
    }

    @Test
    void aPipeIntoTheProgramGetsTheAnswersAlone() throws Exception {
        Program.Outcome outcome = Program.process(
                Map.of("LC_ALL", "C.UTF-8"),
                List.of("bash", "-c", "printf '%s\\n' '" + QUESTION + "' /bogus | \"$@\"", "sft"),
                "chat",
                "--model",
                Program.BASE.toString(),
                "--threads",
                "1",
                "--max-new-tokens",
                "30");
        assertEquals("unknown command /bogus; /help shows those that there are\n", outcome.err());
        assertEquals(0, outcome.status());
        assertEquals(chat(QUESTION + "\n"), outcome.out());
    }

    /// Keys as a person's: a letter taken back, the start of the line, the line before by the arrow.
    @Test
    void aTerminalEditsLinesAndKeepsThem() throws Exception {
        String once = chat("Hi\n");
        String again = chat("Hi\nHi\n").substring(once.length());
        List<String> command =
                Program.command("chat", "--model", Program.BASE.toString(), "--threads", "1", "--max-new-tokens", "30");
        String line = command.stream()
                .map(word -> "'" + word + "'")
                .collect(Collectors.joining(" ", "stty cols 100 rows 30; exec ", ""));
        Path screen = dir.resolve("screen.txt");
        ProcessBuilder builder = new ProcessBuilder("script", "-qec", line, "/dev/null").redirectErrorStream(true);
        builder.environment().putAll(Map.of("TERM", "xterm", "LC_ALL", "C.UTF-8"));
        Process process = builder.redirectOutput(screen.toFile()).start();
        try (OutputStream keys = process.getOutputStream()) {
            shows(process, screen, " tokens of context");
            shows(process, screen, "> ");
            type(keys, "ix\u007f\u0001H\r");
            shows(process, screen, once);
            type(keys, "\u001b[A\r");
            shows(process, screen, again);
            type(keys, "/reset\r");
            shows(process, screen, "forgotten");
            type(keys, "\u0004"); // Ctrl-D
            assertTrue(process.waitFor(60, TimeUnit.SECONDS), "it goes on");
            assertEquals(0, process.exitValue());
        } finally {
            process.destroyForcibly();
        }
    }

    private static void type(OutputStream to, String keys) throws IOException {
        to.write(keys.getBytes(StandardCharsets.UTF_8));
        to.flush();
    }

    private static void shows(Process process, Path screen, String text) throws Exception {
        long end = System.nanoTime() + 60_000_000_000L;
        while (!Files.readString(screen).replace("\r", "").contains(text)) {
            assertTrue(
                    process.isAlive() && System.nanoTime() < end,
                    "no '" + text + "' on\n" + Files.readString(screen).replace("\u001b", "ESC"));
            Thread.sleep(20);
        }
    }

    private String chat(String input, String... settings) {
        return chat(input.getBytes(StandardCharsets.UTF_8), settings);
    }

    private String chat(byte[] input, String... settings) {
        List<SettingValue> values = new ArrayList<>();
        List<String> all = new ArrayList<>(Arrays.asList(settings));
        all.addAll(List.of("model=" + Program.BASE, "threads=1"));
        if (all.stream().noneMatch(setting -> setting.startsWith("max_new_tokens="))) {
            all.add("max_new_tokens=30");
        }
        all.forEach(
                pair -> values.add(new SettingValue(pair.split("=", 2)[0], List.of(pair.split("=", 2)[1]), "test")));
        ChatSettings bound = CommandLineProgram.CHAT.bind(CommandLineProgram.CHAT.resolve(values));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        ChatCommand.run(
                bound,
                new ByteArrayInputStream(input),
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                false);
        notices = err.toString(StandardCharsets.UTF_8);
        return out.toString(StandardCharsets.UTF_8);
    }
}
