package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.config.EvalSettings;
import org.sftnative.config.ExportSettings;
import org.sftnative.config.GenerateSettings;
import org.sftnative.config.InfoSettings;
import org.sftnative.config.InitSettings;
import org.sftnative.config.MergeSettings;
import org.sftnative.config.ReportSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.config.WeightDtype;
import org.sftnative.data.DataReport;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.train.DivergedException;
import org.sftnative.train.RunControl;

class CommandLineProgramTest {
    @TempDir
    Path dir;

    private final Recorder work = new Recorder();
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();

    @Test
    void aListMayBeGivenInSeveralFlagsAndANumberInOneOnly() throws Exception {
        String run = dir.resolve("run").toString();
        assertEquals(0, train("--output-dir", run, "--train-file", "c.json", "--field", "a=b", "--field", "c=d"));
        RunSettings settings = work.only(RunSettings.class);
        assertEquals(3, settings.data().trainFile().size());
        assertEquals(List.of("a=b", "c=d"), settings.rows().field());
        assertEquals(2, train("--output-dir", run, "--lr", "1e-3", "--lr", "1e-4"));
    }

    @Test
    void trainPassesSettingsAndListenersOn() throws Exception {
        Path run = dir.resolve("run");
        assertEquals(0, train("--output-dir", run.toString(), "--no-shuffle", "--max-steps", "-1", "--lr=1e-3"));
        RunSettings settings = work.only(RunSettings.class);
        assertEquals(
                List.of(Path.of("a.json"), Path.of("b.json")), settings.data().trainFile());
        assertFalse(settings.data().shuffle());
        assertEquals(1e-3, settings.training().learningRate());
        assertEquals(1, Files.readAllLines(run.resolve("metrics.jsonl")).size());
        assertTrue(out().startsWith("device  cpu (no GPU)\nstep 1/1 "), out());
    }

    @Test
    void flagsWinOverTheConfigFile() throws Exception {
        Path file =
                Files.writeString(dir.resolve("run.yaml"), "learning_rate: 1e-3\nseed: 7\noutput_dir: " + dir + "\n");
        assertEquals(0, train("--config", file.toString(), "--learning-rate", "5e-4"), this::err);
        assertEquals(5e-4, work.only(RunSettings.class).training().learningRate());
        assertEquals(7, work.only(RunSettings.class).training().seed());
    }

    @Test
    void printedConfigGivesTheSameRun() throws Exception {
        String[] flags = {"--output-dir", dir.toString(), "--epochs", "0.5", "--no-append-eos", "--precision=bf16"};
        assertEquals(0, train(flags));
        List<String> printing = new ArrayList<>(List.of(flags));
        printing.add("--print-config");
        out.reset();
        assertEquals(0, train(printing.toArray(String[]::new)));
        Path file = Files.writeString(dir.resolve("run.yaml"), out());
        assertEquals(0, run("train", "--config", file.toString()), this::err);
        assertEquals(2, work.calls.size()); // printing trained nothing
        assertEquals(work.calls.get(0), work.calls.get(1));
    }

    @Test
    void printConfigRefusesWhatTrainWouldRefuse() {
        assertEquals(2, train("--output-dir", "o", "--lr", "20", "--print-config"));
        assertEquals("error: setting 'learning_rate' (--lr) is 20.0, must be from 0 to 10\n", err());
        assertEquals("", out());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "trian | unknown command 'trian' / did you mean 'train'?",
                "train --shufle | unknown option '--shufle' / did you mean '--shuffle'?",
                "train --no-shufle | unknown option '--no-shufle' / did you mean '--no-shuffle'?",
                "train --lerning_rate=1 | unknown option '--lerning-rate' / did you mean '--learning-rate'?",
                "train --train-file a b --max-setps 4 | unknown option '--max-setps' / did you mean '--max-steps'?",
                "train --quantum | unknown option '--quantum' / see sft-native train --help",
                "train rows.json | unexpected argument 'rows.json' / see sft-native train --help",
                "train --lr | option '--learning-rate' needs a value / peak learning rate (default: 2e-5)",
                "train --lr 1 --learning-rate 2 | option '--learning-rate' is given twice / keep one of them",
                "train --shuffle --no-shuffle | option '--shuffle' is given twice / keep one of them",
                "train --shuffle=maybe | option '--shuffle' is 'maybe', must be true or false",
                "train --no-shuffle=true | option '--no-shuffle' takes no value / it says no already; --shuffle says yes",
                "train --no-shuffle false | option '--no-shuffle' takes no value / it says no already; --shuffle says yes",
                "train --max_steps 1.5 | setting 'max_steps' (--max-steps) is '1.5', must be a whole number of at most 2147483647",
                "train --config none.yaml | settings file none.yaml does not exist",
                "info | a setting is missing / --model: directory of the model, or org/name[@revision] on the Hub",
                "checkpoints | OUT is missing / see sft-native checkpoints --help",
                "eval --model m | a setting is missing / --eval-file: rows to score: files, directories or globs, each a data set of the report",
            })
    void badInputExitsWithTwoAndSaysWhatToDo(String line, String text) {
        String message = text.replace(" / ", "\n  ");
        assertEquals(2, run(line.split(" ")));
        assertEquals("error: " + message + "\n", err());
        assertEquals("", out());
        assertTrue(work.calls.isEmpty());
    }

    @ParameterizedTest
    @CsvSource({
        "--shuffle,true",
        "--no-shuffle,false",
        "--shuffle false,false",
        "--shuffle=True,true",
        "--shuffle=false,false"
    })
    void switchesAreUnderstoodInEverySpelling(String flag, boolean expected) {
        List<String> args = new ArrayList<>(List.of("--output-dir", dir.toString()));
        args.addAll(List.of(flag.split(" ")));
        assertEquals(0, train(args.toArray(String[]::new)), this::err);
        assertEquals(expected, work.only(RunSettings.class).data().shuffle());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "plain",
                "- a list",
                "--two words",
                "-5",
                "@file",
                "${x}",
                "%s %n",
                "\"quoted\"",
                "中文 😀",
                "a=b",
                "\uE000"
            })
    void aPromptArrivesAsItWasTyped(String prompt) {
        assertEquals(0, run("generate", "--model", "m", "--prompt", prompt), this::err);
        assertEquals(Optional.of(prompt), work.only(GenerateSettings.class).prompt());
        assertEquals("an answer\n", out());
    }

    @Test
    void aPromptThatLooksLikeAFlagGoesBehindAnEqualsSign() {
        assertEquals(0, run("generate", "--model", "m", "--prompt=--max-new-tokens"), this::err);
        assertEquals(
                Optional.of("--max-new-tokens"),
                work.only(GenerateSettings.class).prompt());
    }

    @Test
    void evalInitAndInfoPrintWhatTheyAreTold() {
        assertEquals(0, run("eval", "--model", "m", "--eval-file", "a", "b"), this::err);
        assertEquals("the score\n", out());
        out.reset();
        assertEquals(
                0, run("init", "--config", "c.yaml", "--tokenizer", "t", "--output-dir", "o", "--dtype", "bfloat16"));
        assertEquals("a small model\n", out());
        assertEquals(WeightDtype.BFLOAT16, ((InitSettings) work.calls.get(1)).dtype());
        out.reset();
        assertEquals(0, run("info", "models/some/x"));
        assertEquals("shape of models/some/x\n", out());
    }

    @Test
    void aFaultOfTheProgramExitsWithOneAndOneLine() {
        work.failure = new IllegalStateException("addmm: bad\nException raised from ...\nframe #0");
        assertEquals(1, run("info", "m"));
        assertEquals(
                "error: addmm: bad (java.lang.IllegalStateException)\n"
                        + "  this is not about your input; --stacktrace shows where it happened\n",
                err());
        err.reset();
        work.failure = new OutOfMemoryError();
        assertEquals(1, run("info", "m"));
        assertTrue(err().startsWith("error: out of memory: Java's heap is full\n  give it more"), err());
    }

    @Test
    void aRunThatDivergedIsToldWithWhatToDo() {
        work.failure = new DivergedException("step 3: loss NaN\n  go on from an earlier checkpoint");
        assertEquals(1, run("info", "m"));
        assertEquals("error: step 3: loss NaN\n  go on from an earlier checkpoint\n", err());
    }

    @Test
    void stacktraceShowsWhere() {
        work.failure = new InputException("the row is wrong");
        assertEquals(2, run("info", "m"));
        assertEquals("error: the row is wrong\n", err());
        err.reset();
        assertEquals(2, run("info", "m", "--stacktrace"));
        assertTrue(err().contains("at org.sftnative.cli.CommandLineProgram"), err());
        assertTrue(err().endsWith("error: the row is wrong\n"), err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"train", "eval", "generate", "init", "info"})
    void everyCommandHasHelpWithAnExample(String command) {
        assertEquals(0, run(command, "--help"));
        assertTrue(out().contains("Example: sft-native " + command + " "), out());
        String help = out();
        out.reset();
        assertEquals(0, run("help", command));
        assertEquals(help, out());
    }

    @Test
    void helpNamesEverySettingWithItsDefault() {
        assertEquals(0, run("train", "--help"));
        TrainCommand.TRAIN
                .fields()
                .forEach(field -> assertTrue(
                        out().contains(field.isSwitch() ? field.flag().substring(2) : field.flag()), field.flag()));
        assertTrue(out().contains("peak learning rate (default: 2e-5)"), out());
        assertTrue(out().contains("--[no-]shuffle "), out());
    }

    @Test
    void noCommandShowsTheCommandsAndExitsWithTwo() {
        assertEquals(2, run());
        assertTrue(err().contains("\nTrain:\n  train "), err());
        assertEquals("", out());
    }

    @Test
    void versionNamesTheCommitAndLibtorch() {
        assertEquals(0, run("--version"));
        assertTrue(
                out().matches("(?s)sft-native \\d+\\.\\d+\\.\\d+\\S* \\(commit ([0-9a-f]{12}(-dirty)?|unknown)\\)\n"
                        + "libtorch \\d+\\.\\d+\\.\\d+ \\(JavaCPP presets \\S+, linux-x86_64\\S*\\)\nJava 25.*\n"),
                out());
    }

    @Test
    void aPathThatTheLocaleLostIsRefused() {
        assertEquals(2, run("info", "m\uFFFDdel"));
        assertTrue(err().endsWith("\n  set LC_ALL=C.UTF-8\n"), err());
    }

    @Test
    void docsTableIsTheCodes() throws Exception {
        assertEquals(
                Files.readString(Path.of("docs/SETTINGS.md")),
                CommandLineProgram.docs(),
                "docs/SETTINGS.md is not what the code says; run: scripts/sft docs > docs/SETTINGS.md\n");
    }

    private int train(String... more) {
        List<String> args = new ArrayList<>(List.of("train", "--model", "m", "--train-file", "a.json", "b.json"));
        args.addAll(List.of(more));
        return run(args.toArray(String[]::new));
    }

    private int run(String... args) {
        return new CommandLineProgram(
                        work,
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8),
                        false)
                .run(args);
    }

    private String out() {
        return out.toString(StandardCharsets.UTF_8);
    }

    private String err() {
        return err.toString(StandardCharsets.UTF_8);
    }

    /// Remembers what it was asked for, and answers something.
    private static final class Recorder implements Work {
        final List<Object> calls = new ArrayList<>();
        Throwable failure;

        <T> T only(Class<T> type) {
            assertEquals(1, calls.size());
            return type.cast(calls.getFirst());
        }

        @Override
        public void train(RunSettings settings, List<RunListener> listeners, RunControl requests, World world) {
            calls.add(settings);
            for (RunListener listener : listeners) {
                listener.on(new RunEvent.Started(0, 1, Map.of("device", "cpu (no GPU)")));
                listener.on(new RunEvent.StepDone(1, 1, 1, 2, 1, 1e-3, 100, 50, 1, 1, true));
            }
        }

        @Override
        public void eval(EvalSettings settings, Consumer<String> text) {
            calls.add(settings);
            text.accept("the score\n");
        }

        @Override
        public DataReport data(ReportSettings settings) {
            throw new AssertionError("DataCommandTest has the whole command");
        }

        @Override
        public void generate(GenerateSettings settings, Consumer<String> text) {
            calls.add(settings);
            text.accept("an ");
            text.accept("answer");
        }

        @Override
        public String init(InitSettings settings) {
            calls.add(settings);
            return "a small model";
        }

        @Override
        public String export(ExportSettings settings) {
            calls.add(settings);
            return "a file";
        }

        @Override
        public String merge(MergeSettings settings) {
            calls.add(settings);
            return "a merged model";
        }

        @Override
        public List<String> checkpoints(Path output) {
            return List.of("of " + output);
        }

        @Override
        public String info(InfoSettings settings) throws Exception {
            switch (failure) {
                case null -> {}
                case Exception e -> throw e;
                case Error e -> throw e;
                default -> throw new AssertionError(failure);
            }
            return "shape of " + settings.modelNameOrPath();
        }
    }
}
