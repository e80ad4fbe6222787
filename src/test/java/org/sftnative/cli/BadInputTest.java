package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.io.Manifest;
import org.sftnative.support.InMemory;

/// What a stranger gets wrong ends in one screen that names it, status 2, and nothing written.
class BadInputTest {
    private static final String GOOD = "{\"instruction\":\"Add.\",\"input\":\"1 and 2\",\"output\":\"3\"}";

    @TempDir(factory = InMemory.class)
    Path dir;

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "``                                            | rows.json is empty",
                "`   `                                         | rows.json is empty",
                "hello                                         | rows.json is not JSON: it starts with 'h'",
                "[]                                            | 'train_file' leaves no row of ",
                "[GOOD,GOOD                                    | cut off: it ends in row 3",
                "[GOOD,{\"instruction\":\"Ad                   | cut off: it ends in row 2",
                "GOOD~GOOD~{\"instruction\":\"Ad               | row 3: not valid JSON in line 3",
                "GOOD~~~{\"instruction\": Ad}                  | row 2: not valid JSON in line 4",
                "[GOOD,~~{\"instruction\": Ad}]                | row 2: not valid JSON in line 3",
                "[GOOD] GOOD                                   | goes on after the end of its array, in line 1",
                "GOOD~5                                        | row 2 is a number, must be an object",
                "[GOOD,[GOOD]]                                 | row 2 is an array, must be an object",
                "[\"a\"]                                       | row 1 is a string, must be an object",
                "[GOOD,null]                                   | row 2 is null, must be an object",
                "GOOD~{\"instruction\":\"A\",\"input\":\"\",\"response\":\"3\"} | row 2: 'output' is missing (keys: instruction, input, response)",
                "[{\"instruction\":null,\"output\":\"3\"}]     | row 1: 'instruction' is null (keys: instruction, output)",
                "[{\"instruction\":7,\"output\":\"3\"}]        | row 1: 'instruction' is a number, must be a string",
                "[{\"instruction\":\"a\",\"instruction\":\"b\",\"output\":\"3\"}] | row 1: not valid JSON in line 1",
            })
    void brokenRowsAreNamed(String content, String says) throws IOException {
        Path rows = Files.writeString(
                dir.resolve("rows.json"), content.replace("GOOD", GOOD).replace('~', '\n'));
        refused(Program.train(out(), rows), says, "rows.json");
    }

    @Test
    void rowsThatAreNotUtf8AreNamedByLine() throws IOException {
        byte[] bytes = (GOOD + "\n" + GOOD.replace('3', '\u00e9')).getBytes(StandardCharsets.ISO_8859_1);
        Path rows = Files.write(dir.resolve("rows.json"), bytes);
        refused(Program.train(out(), rows), "rows.json, row 2: not UTF-8 text in line 2");
    }

    @Test
    void missingRowFilesAreNamed() throws IOException {
        refused(Program.train(out(), dir.resolve("none.json")), "none.json: no such file");
        refused(Program.train(out(), dir), dir + " is a directory");
        Path good = Program.rows(dir, 0, 4);
        refused(Program.train(out(), good, "--eval-file", dir + "/none.json"), "none.json: no such file");
        refused(
                Program.run("eval", "--model", Program.BASE.toString(), "--eval-file", dir + "/none.json"),
                "none.json");
    }

    @Test
    void rowsThatAllLoseTheirLabelsAreAnError() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        refused(
                Program.train(out(), rows, "--max-length", "12"),
                "all 4 rows lose every label",
                "row 1",
                "max_length 12: raise it");
        String noResponse = GOOD.replace("\"3\"", "\"\"");
        Path empty = Files.writeString(dir.resolve("rows.json"), noResponse);
        refused(
                Program.train(out(), empty, "--no-append-eos"),
                "all 1 rows lose every label",
                "their responses are empty");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"num_hidden_layers\": 3 | \"num_hidden_layers\": 4 | weights are missing, the first is 'model.layers.3.",
                "\"num_hidden_layers\": 3 | \"num_hidden_layers\": 2 | is no weight of the model that config.json describes",
                "\"intermediate_size\": 256 | \"intermediate_size\": 255 | has shape [96, 256], config.json says [96, 255]",
                "\"attention_bias\": false | \"attention_bias\": true | weights are missing, the first is",
                "\"vocab_size\": 2048 | \"vocab_size\": 2047 | has shape [2048, 96], config.json says [2047, 96]",
                "\"model_type\": \"llama\" | \"model_type\": \"gpt2\" | model_type 'gpt2' is not supported",
                "\"hidden_size\": 96 | \"hidden_size\": \"96\" | hidden_size is \"96\", must be an integer",
                "\"hidden_size\": 96, | | 'hidden_size' is missing",
                "\"num_attention_heads\": 3 | \"num_attention_heads\": 0 | num_attention_heads is 0, must be above 0",
                "\"rope_type\": \"default\" | \"rope_type\": \"yarn\" | rope_type is 'yarn'",
                "\"use_cache\": true | \"use_cache\": | config.json",
            })
    void configThatDisagreesWithTheWeightsIsNamed(String old, String changed, String says) throws IOException {
        Path model = Program.copyOfBase(dir);
        String config = Files.readString(model.resolve("config.json"));
        assertTrue(config.contains(old));
        Files.writeString(model.resolve("config.json"), config.replace(old, changed == null ? "" : changed));
        Path rows = Program.rows(dir, 0, 4);
        refused(Program.train(model, out(), rows), says);
        refused(Program.run("generate", "--model", model.toString(), "--prompt", "a"), says);
        refused(Program.run("eval", "--model", model.toString(), "--eval-file", rows.toString()), says);
    }

    @Test
    void directoriesThatAreNoModelsAreNamed() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        refused(Program.train(dir.resolve("none"), out(), rows), "model directory " + dir + "/none does not exist");
        refused(Program.train(rows, out(), rows), rows + " is not a directory");
        Path model = Files.createDirectory(dir.resolve("model"));
        refused(Program.train(model, out(), rows), model + " has no config.json");
        refused(Program.run("info", model.toString()), model + " has no config.json");
        Files.copy(Program.BASE.resolve("config.json"), model.resolve("config.json"));
        refused(Program.train(model, out(), rows), "neither model.safetensors nor model.safetensors.index.json");
        Files.writeString(model.resolve("pytorch_model.bin"), "pickle");
        refused(Program.train(model, out(), rows), "only pickle files, such as pytorch_model.bin");
    }

    @ParameterizedTest
    @ValueSource(strings = {"config.json", "model.safetensors", "tokenizer.json"})
    void damagedModelFilesAreNamed(String name) throws IOException {
        Path model = Program.copyOfBase(dir);
        Path rows = Program.rows(dir, 0, 4);
        Path file = model.resolve(name);
        byte[] whole = Files.readAllBytes(file);
        for (int length : new int[] {0, 5, whole.length / 2, whole.length - 3}) {
            Files.write(file, Arrays.copyOf(whole, length));
            refused(Program.train(model, out(), rows), name);
        }
        Files.delete(file);
        String missing = name.equals("model.safetensors") ? "holds no weights" : "has no " + name;
        refused(Program.train(model, out(), rows), missing);
    }

    @Test
    void weightsThatAreNotFiniteAreNamed() throws IOException {
        Path model = Program.copyOfBase(dir);
        Path file = model.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        int header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
        boolean wide = new String(bytes, 8, header, StandardCharsets.UTF_8).contains("F32");
        byte[] nan = wide ? new byte[] {0, 0, (byte) 0xC0, 0x7F} : new byte[] {(byte) 0xC0, 0x7F};
        System.arraycopy(nan, 0, bytes, bytes.length - nan.length, nan.length);
        Files.write(file, bytes);
        refused(Program.train(model, out(), Program.rows(dir, 0, 4)), model + ": '", "weights that are not finite");
    }

    @Test
    void tokenBeyondTheVocabularyIsNamed() throws IOException {
        Path model = Program.copyOfBase(dir);
        String tokenizer = Files.readString(model.resolve("tokenizer.json"));
        String added = "{\"id\": 2048, \"content\": \"zebra\", \"single_word\": false, \"lstrip\": false,"
                + " \"rstrip\": false, \"normalized\": false, \"special\": false}";
        Files.writeString(
                model.resolve("tokenizer.json"),
                tokenizer.replaceFirst("\"added_tokens\": \\[", "\"added_tokens\": [" + added + ","));
        Path rows = Files.writeString(dir.resolve("rows.json"), GOOD + "\n" + GOOD.replace("\"3\"", "\"three zebra\""));
        String[] says = {"token id 2048 is beyond the model's vocabulary of 2048", "from different models"};
        refused(Program.train(model, out(), rows), "row 2", says[0], says[1]);
        Path good = Program.rows(dir, 0, 4);
        refused(Program.train(model, out(), good, "--eval-file", rows.toString()), "row 2", says[0], says[1]);
        refused(Program.run("eval", "--model", model.toString(), "--eval-file", rows.toString()), "row 2", says[0]);
        refused(Program.run("generate", "--model", model.toString(), "--prompt", "a zebra"), says);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--learning-rates 1 | unknown option '--learning-rates' / did you mean '--learning-rate'?",
                "--max-steps 0 | setting 'max_steps' (--max-steps) is 0, must be -1 or at least 1",
                "--lr nan | learning_rate",
                "--batch-size 0 | setting 'per_device_train_batch_size' (--batch-size) is 0, must be 1 or more",
                "--batch-size 65536 --gradient-accumulation-steps 65536 | 65536 x 65536",
                "--num-train-epochs 0 | num_train_epochs",
                "--num-train-epochs -1 | num_train_epochs",
                "--max-length 1 | max_length",
                "--eval-fraction 1 | eval_fraction",
                "--eval-fraction 0.5 --eval-file x.json | eval_file and eval_fraction are both given",
                "--device tpu | setting 'device' (--device) is 'tpu', must be auto, cpu, cuda or cuda:N",
                "--device cuda:99 | device 'cuda:99' is not there",
                "--precision fp64 | precision",
                "--lr-scheduler-type cosin | lr_scheduler_type",
                "--save-total-limit -1 | save_total_limit",
                "--save-steps 0 | save_steps",
                "--warmup-steps 1.5 | warmup_steps",
                "--seed x | seed",
            })
    void wrongSettingsAreNamed(String flags, String says) throws IOException {
        refused(
                Program.train(out(), Program.rows(dir, 0, 4), flags.split(" ")),
                says.replace(" / ", "\n  ").split("\\|"));
    }

    @Test
    void moreThreadsThanAnyMachineHasAreRefused() throws IOException {
        String[] eval = {
            "eval",
            "--model",
            Program.BASE.toString(),
            "--eval-file",
            Program.rows(dir, 0, 4).toString(),
            "--threads"
        };
        for (String threads : List.of("-1", "1025", "2000000000")) {
            String[] args = Arrays.copyOf(eval, eval.length + 1);
            args[eval.length] = threads;
            refused(Program.run(args), "setting 'threads' (--threads) is " + threads + ", must be from 0 to 1024");
        }
    }

    @Test
    void settingsFilesAreNamedWithTheirLine() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        Path file = Files.writeString(dir.resolve("run.yaml"), "seed: 3\nlearning_rates: 2e-5\n");
        refused(
                Program.train(out(), rows, "--config", file.toString()),
                "unknown setting 'learning_rates' in " + file + ":2\n  did you mean 'learning_rate'?");
        Files.writeString(file, "seed: 3\nlearning_rate: 11\n");
        refused(Program.train(out(), rows, "--config", file.toString()), "'learning_rate' (" + file + ":2) is 11");
    }

    @Test
    void outputDirectoryInUseIsLeftAlone() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        Path used = Files.createDirectory(dir.resolve("used"));
        Files.writeString(used.resolve("thesis.txt"), "years of work");
        Map<String, String> before = Program.contents(dir);
        refused(Program.train(used, rows), used + " is not empty", "--overwrite-output-dir");
        refused(Program.train(rows, rows), rows + " is a file", "choose another --output-dir");
        refused(Program.train(rows.resolve("out"), rows), rows + "/out");
        refused(
                Program.run(
                        "init",
                        "--config",
                        Program.BASE.resolve("config.json").toString(),
                        "--tokenizer",
                        Program.BASE.toString(),
                        "--output-dir",
                        used.toString()),
                used + " is not empty",
                "--overwrite-output-dir");
        assertEquals(before, Program.contents(dir));
    }

    @Test
    void modelIsNeverWrittenOver() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        Path model = Program.copyOfBase(dir);
        Path link = Files.createSymbolicLink(dir.resolve("link"), model);
        Map<String, String> before = Program.contents(model);
        for (Path output : List.of(
                model,
                dir.resolve("x/../model"),
                link,
                model.resolve("out"),
                link.resolve("deeper/out"),
                dir.resolve("model/../model/out"),
                dir)) {
            for (String flag : List.of("--no-overwrite-output-dir", "--overwrite-output-dir")) {
                Outcome outcome = Program.train(model, output, rows, flag);
                refused(outcome, output.toString(), "--output-dir");
            }
        }
        assertEquals(before, Program.contents(model));
    }

    @Test
    void resumeWithoutCheckpointIsRefused() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        refused(Program.train(out(), rows, "--resume", "latest"), out() + " has no checkpoint to resume from");
        refused(
                Program.train(out(), rows, "--resume", dir + "/checkpoint-4"),
                dir + "/checkpoint-4",
                "trainer_state.json");
        refused(Program.train(out(), rows, "--resume", Program.BASE.toString()), "trainer_state.json");
        Files.createDirectories(out().resolve("checkpoint-3"));
        Files.createDirectories(out().resolve(".tmp-checkpoint-4"));
        Outcome outcome = Program.train(out(), rows, "--resume", "latest");
        assertEquals(2, outcome.status());
        assertTrue(outcome.err().startsWith("error: " + out() + " has no checkpoint"), outcome.err());
    }

    @Test
    void damagedCheckpointIsNamedAndLeftAsItIs() throws IOException {
        Path rows = Program.rows(dir, 0, 4);
        Path run = dir.resolve("run");
        Program.train(run, rows, "--max-steps", "2", "--save-steps", "1").succeeded();
        Path checkpoint = run.resolve("checkpoint-1");
        List<String> damages = new ArrayList<>();
        for (String name : List.of("config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json")) {
            Path file = checkpoint.resolve(name);
            byte[] whole = Files.readAllBytes(file);
            for (int length : new int[] {-1, 0, 9, whole.length / 2, whole.length - 3}) {
                if (length < 0) {
                    Files.delete(file);
                } else {
                    Files.write(file, Arrays.copyOf(whole, length));
                }
                damages.add(name + " of " + length);
                Map<String, String> before = Program.contents(run);
                Outcome outcome = Program.train(
                        run, rows, "--max-steps", "2", "--save-steps", "1", "--resume", checkpoint.toString());
                assertOneScreen(outcome, checkpoint.toString());
                assertEquals(before.keySet(), Program.contents(run).keySet(), damages.toString());
                assertEquals(before, Program.contents(run), damages.toString());
            }
            Files.write(file, whole);
        }
        for (String state : List.of("null", "{}", "[]", "{\"formatVersion\":1}", "{\"run\":{},\"state\":null}", "7")) {
            Path file = checkpoint.resolve("trainer_state.json");
            byte[] whole = Files.readAllBytes(file);
            Files.writeString(file, state);
            Manifest.write(checkpoint, Map.of()); // whole, but of a program that went wrong
            Outcome outcome = Program.train(
                    run, rows, "--max-steps", "2", "--save-steps", "1", "--resume", checkpoint.toString());
            assertOneScreen(outcome, file.toString());
            Files.write(file, whole);
            Manifest.write(checkpoint, Map.of());
        }
        // and whole again, it is resumed from
        Program.train(run, rows, "--max-steps", "2", "--save-steps", "1", "--resume", checkpoint.toString())
                .succeeded();
    }

    private Path out() {
        return dir.resolve("out");
    }

    private void refused(Outcome outcome, String... says) {
        assertOneScreen(outcome, says);
        assertFalse(
                Files.exists(out()),
                () -> "something was written: " + Program.contents(out()).keySet());
    }

    private static void assertOneScreen(Outcome outcome, String... says) {
        assertEquals(2, outcome.status(), () -> outcome.err() + outcome.out());
        assertTrue(outcome.err().startsWith("error: "), outcome.err());
        List<String> lines = outcome.err().lines().toList();
        assertTrue(lines.size() <= 12, outcome.err());
        assertTrue(lines.stream().skip(1).allMatch(line -> line.startsWith("  ")), outcome.err());
        assertTrue(lines.stream().allMatch(line -> line.length() <= 500), outcome.err());
        assertEquals("", outcome.out());
        for (String what : says) {
            assertTrue(outcome.err().contains(what), () -> "'" + what + "' is not in\n" + outcome.err());
        }
    }
}
