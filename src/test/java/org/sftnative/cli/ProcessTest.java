package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.support.InMemory;

/// What only a process of its own shows: exit status, streams, the locale, what the JVM says.
class ProcessTest {
    private static final Map<String, String> UTF_8 = Map.of("LC_ALL", "C.UTF-8");
    private static final Map<String, String> ASCII = Map.of("LC_ALL", "C");

    @TempDir(factory = InMemory.class)
    Path dir;

    @Test
    void trainingSaysNothingOnStderrAndExitsWithZero() throws Exception {
        Path out = dir.resolve("out");
        Outcome outcome = Program.process(UTF_8, List.of(), train(out, Program.rows(dir, 0, 4), "--max-steps", "2"));
        assertEquals("", outcome.err()); // no warning of the JVM, of JavaCPP, of the tokenizer
        assertEquals(0, outcome.status());
        assertTrue(outcome.out().endsWith("the model is in " + out + "\n"), outcome.out());
        assertTrue(Files.isRegularFile(out.resolve("model.safetensors")));
    }

    @Test
    void badInputExitsWithTwoAndWritesNothing() throws Exception {
        Path out = dir.resolve("out");
        Outcome outcome = Program.process(UTF_8, List.of(), train(out, dir.resolve("none.json")));
        assertEquals("error: cannot read " + dir + "/none.json: no such file\n", outcome.err());
        assertEquals(2, outcome.status());
        assertEquals("", outcome.out());
        assertFalse(Files.exists(out));
    }

    @Test
    void aRunThatDivergesExitsWithOneAndSaysWhatToDo() throws Exception {
        Path rows = Program.rows(dir, 0, 4);
        String hot = "--lr 9.9 --max-grad-norm 0 --weight-decay 0.99 --lr-scheduler-type constant --precision bf16"
                + " --max-steps 40";
        Path out = dir.resolve("out");
        Outcome outcome = Program.process(UTF_8, List.of(), train(out, rows, (hot + " --save-strategy no").split(" ")));
        assertEquals(1, outcome.status(), outcome.out());
        String step = "error: step \\d+: loss .*, gradient norm .*, the update was skipped\n"
                + "  that was the third in a row: the run has diverged\n";
        String none = "  there is no checkpoint to go on from: with --save-steps there is one for --resume\n";
        String advice = "  try a lower learning rate\n";
        assertTrue(outcome.err().matches(step + none + advice), outcome.err());
        // the same run with checkpoints
        out = dir.resolve("again");
        outcome = Program.train(out, rows, (hot + " --save-steps 5").split(" "));
        assertEquals(1, outcome.status(), outcome.out());
        String last = out.resolve("checkpoint-10").toString();
        String goOn = "  the last good checkpoint is " + last + ": go on from it with --resume " + last + "\n";
        assertTrue(outcome.err().matches(step + Pattern.quote(goOn) + advice), outcome.err());
        assertTrue(Program.run("checkpoints", out.toString()).succeeded().out().contains("checkpoint-10"));
    }

    @Test
    void aFolderForNativesThatCannotBeMadeIsToldWithWhatToSet() throws Exception {
        Path file = Files.createFile(dir.resolve("file"));
        Map<String, String> environment =
                Map.of("LC_ALL", "C.UTF-8", "DJL_CACHE_DIR", file + "/a", "XDG_CACHE_HOME", dir.toString());
        Outcome outcome = Program.process(environment, List.of(), asked("a"));
        assertEquals(1, outcome.status(), outcome.out());
        assertTrue(
                outcome.err().startsWith("error: the native libraries cannot be unpacked or loaded: "), outcome.err());
        assertTrue(outcome.err().contains("\n  DJL_CACHE_DIR=" + file + "/a is no folder\n"), outcome.err());
        assertTrue(outcome.err().contains("-Dorg.bytedeco.javacpp.cachedir=FOLDER"), outcome.err());
    }

    /// The scripts choose a UTF-8 locale before they start Java: it decodes arguments by the locale, once and for all.
    @Test
    void chineseArgumentsReachTheProgramThroughTheScriptsInTheCLocale() throws Exception {
        List<String> scripts = List.of("bash", "-c", ". scripts/lib.sh; exec \"$@\"", "sft");
        String prompt = "什么是光合作用？";
        Outcome ascii = generate(ASCII, scripts, prompt);
        assertEquals("", ascii.err());
        assertEquals(0, ascii.status());
        // the same answer as in this process, and as UTF-8
        assertEquals(Program.run(asked(prompt)).out(), ascii.out());
        assertTrue(ascii.out().codePoints().anyMatch(c -> c > 0x4E00), ascii.out());
        Path model = Program.copy(Program.BASE, dir.resolve("模型"));
        Outcome info = Program.process(ASCII, scripts, "info", model.toString());
        assertTrue(info.out().startsWith("llama, "), info.err());
    }

    @Test
    void withoutTheScriptsTheCLocaleIsRefusedAndNotGuessed() throws Exception {
        Outcome outcome = generate(ASCII, List.of(), "什么是光合作用？");
        assertEquals(2, outcome.status(), outcome.out());
        assertTrue(outcome.err().startsWith("error: argument '"), outcome.err());
        assertTrue(outcome.err().endsWith("\n  set LC_ALL=C.UTF-8\n"), outcome.err());
    }

    private static Outcome generate(Map<String, String> environment, List<String> prefix, String prompt)
            throws Exception {
        return Program.process(environment, prefix, asked(prompt));
    }

    private static String[] asked(String prompt) {
        String[] args =
                ("generate --threads 1 --max-new-tokens 20 --model " + Program.BASE + " --instruction _").split(" ");
        args[args.length - 1] = prompt;
        return args;
    }

    private static String[] train(Path out, Path rows, String... more) {
        String args = "train --threads 1 --model " + Program.BASE + " --train-file " + rows + " --output-dir " + out;
        return Stream.concat(Stream.of(args.split(" ")), Stream.of(more)).toArray(String[]::new);
    }
}
