package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.support.InMemory;

/// A run over 20 rows, one a step, of which the 18th is rubbish: its loss is a spike in each of two epochs, at steps
/// 18 and 38.
class SpikeRunTest {
    private static final int STEPS = 40;

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path whole;

    @BeforeEach
    void rows() throws IOException {
        List<String> lines = new ArrayList<>(Files.readAllLines(Program.rows(dir, 0, 20)));
        lines.set(
                17,
                "{\"instruction\": \"Say it.\", \"output\": \"qZ7#kk}~|0xVw ;;jQ^^ zzzKq @@%% WvX9 ~~{{ pQ#1 ;:;:\"}");
        rows = Files.write(dir.resolve("rows.jsonl"), lines);
        whole = dir.resolve("whole");
    }

    @Test
    void aSpikeIsToldAndTrainedUnlessSomethingElseIsAskedFor() throws IOException {
        Outcome outcome = train(whole).succeeded();
        assertTrue(outcome.out().contains("alert at step 18: loss "), outcome.out());
        assertTrue(outcome.out().contains("alert at step 38: loss "), outcome.out());
        // a machine that is busy with something else may drop in throughput
        List<String> others = Files.readAllLines(whole.resolve("events.jsonl")).stream()
                .filter(line -> line.contains("\"alert\"") && !line.contains("throughput_drop"))
                .toList();
        assertEquals(2, others.size(), () -> String.join("\n", others));
        assertEquals(STEPS, Program.steps(whole, "loss").size());
    }

    @Test
    void aRollbackTrainsWhatSkippingTheUpdateTrainsAndTheLogHasEachStepOnce() throws IOException {
        Path skipped = dir.resolve("skipped");
        Outcome skipping = train(skipped, "--on-spike", "skip").succeeded();
        assertTrue(skipping.out().contains("the update was skipped"), skipping.out());
        Path warned = dir.resolve("warned");
        train(warned).succeeded();
        assertFalse(Arrays.equals(weights(skipped), weights(warned)), "the spike changes nothing");
        // with checkpoints a few steps before the spike; without any, back to the start
        for (String saving : List.of("--save-steps 7", "--save-strategy no")) {
            Path back = dir.resolve("back" + saving.length());
            String[] words = saving.split(" ");
            Outcome outcome =
                    train(back, "--on-spike", "rollback", words[0], words[1]).succeeded();
            assertTrue(outcome.out().contains("rolled back  step 18: loss "), outcome.out());
            assertTrue(outcome.out().contains("rolled back  step 38: loss "), outcome.out());
            assertArrayEquals(weights(skipped), weights(back), saving);
            List<Integer> steps = new ArrayList<>(Program.steps(skipped, "loss"));
            steps.removeAll(List.of(18, 38));
            assertEquals(steps, Program.steps(back, "loss"), saving);
        }
    }

    @Test
    void aRunWithRollbacksThatWasStoppedGoesOnBitForBit() throws IOException {
        String[] settings = {"--on-spike", "rollback", "--save-steps", "4", "--save-total-limit", "0"};
        train(whole, settings).succeeded();
        // before a spike and right before it, after the rollback, between the two, at the end
        for (int at : new int[] {8, 16, 20, 36, 40}) {
            Path stopped = Files.createDirectories(dir.resolve("stopped-" + at));
            for (int step = 4; step <= at; step += 4) {
                Program.copy(whole.resolve("checkpoint-" + step), stopped.resolve("checkpoint-" + step));
            }
            Files.copy(whole.resolve("metrics.jsonl"), stopped.resolve("metrics.jsonl"));
            List<String> resumed = new ArrayList<>(List.of(settings));
            resumed.add("--resume");
            train(stopped, resumed.toArray(String[]::new)).succeeded();
            assertArrayEquals(weights(whole), weights(stopped), "resumed at " + at);
            assertEquals(Program.numbers(whole), Program.numbers(stopped), "resumed at " + at);
            for (int step = 4; step <= STEPS; step += 4) {
                String name = "checkpoint-" + step;
                assertTrue(
                        Program.contents(whole.resolve(name)).equals(Program.contents(stopped.resolve(name))),
                        name + ", resumed at " + at);
            }
        }
    }

    /// Where there is no checkpoint yet, what went back is what the run began with.
    @ParameterizedTest
    @ValueSource(strings = {"--lora-r 4", "--lora-r 4 --init-lora-weights pissa"})
    void beforeTheFirstCheckpointAdaptersGoBackToTheirBeginning(String line) throws IOException {
        List<String> settings = new ArrayList<>(List.of(line.split(" ")));
        settings.addAll(List.of("--save-steps", "1000", "--on-spike", "skip"));
        Path skipped = dir.resolve("skipped");
        train(skipped, settings.toArray(String[]::new)).succeeded();
        settings.set(settings.size() - 1, "rollback");
        Outcome outcome = train(whole, settings.toArray(String[]::new)).succeeded();
        assertTrue(outcome.out().contains("rolled back  step 18: loss "), outcome.out());
        assertEquals(adapter(skipped), adapter(whole));
    }

    /// Adapters too: going back gives what skipping gives, and a run that was killed around it ends as the whole one.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "--lora-r 4",
                "--lora-r 4 --engine reference --lora-dropout 0.1 --precision bf16",
                "--lora-r 4 --init-lora-weights pissa"
            })
    void adaptersGoBackAndOnBitForBit(String line) throws IOException {
        List<String> settings = new ArrayList<>(List.of(line.split(" ")));
        settings.addAll(List.of("--save-steps", "5", "--save-total-limit", "0", "--on-spike", "skip"));
        Path skipped = dir.resolve("skipped");
        train(skipped, settings.toArray(String[]::new)).succeeded();
        settings.set(settings.size() - 1, "rollback");
        Outcome outcome = train(whole, settings.toArray(String[]::new)).succeeded();
        assertTrue(outcome.out().contains("rolled back  step 18: loss "), outcome.out());
        assertTrue(outcome.out().contains("rolled back  step 38: loss "), outcome.out());
        assertEquals(adapter(skipped), adapter(whole));
        settings.add("--resume");
        // the spike ahead, behind, and between the two
        for (int at : new int[] {15, 20, 35}) {
            Path stopped = Files.createDirectories(dir.resolve("stopped-" + at));
            for (int step = 5; step <= at; step += 5) {
                Program.copy(whole.resolve("checkpoint-" + step), stopped.resolve("checkpoint-" + step));
            }
            Files.copy(whole.resolve("metrics.jsonl"), stopped.resolve("metrics.jsonl"));
            train(stopped, settings.toArray(String[]::new)).succeeded();
            assertEquals(adapter(whole), adapter(stopped), "resumed at " + at);
            assertEquals(Program.numbers(whole), Program.numbers(stopped), "resumed at " + at);
            String last = "checkpoint-" + STEPS;
            assertTrue(
                    Program.contents(whole.resolve(last)).equals(Program.contents(stopped.resolve(last))),
                    "resumed at " + at);
        }
    }

    @Test
    void aRunThatMayNotGoBackAgainIsLostAndNamesItsLastCheckpoint() {
        Outcome outcome = train(whole, "--on-spike", "rollback", "--spike-limit", "1", "--save-steps", "7");
        assertEquals(1, outcome.status());
        assertTrue(outcome.err().startsWith("error: step 38: loss "), outcome.err());
        assertTrue(outcome.err().contains("after 1 rollbacks (--spike-limit), the run has diverged"), outcome.err());
        assertTrue(
                outcome.err().contains("the last good checkpoint is " + whole.resolve("checkpoint-35")), outcome.err());
    }

    @Test
    void theLearningRateIsHalvedFromTheSpikeOnAndAfterAResume() throws IOException {
        String[] settings = {
            "--on-spike",
            "reduce-lr",
            "--lr-scheduler-type",
            "constant",
            "--save-steps",
            "20",
            "--save-total-limit",
            "0"
        };
        train(whole, settings).succeeded();
        List<Double> rates = Program.values(whole, "learning_rate");
        assertEquals(
                List.of(1e-3, 5e-4, 5e-4, 2.5e-4), List.of(rates.get(16), rates.get(17), rates.get(36), rates.get(37)));
        Path stopped = Files.createDirectories(dir.resolve("stopped"));
        Program.copy(whole.resolve("checkpoint-20"), stopped.resolve("checkpoint-20"));
        Files.copy(whole.resolve("metrics.jsonl"), stopped.resolve("metrics.jsonl"));
        List<String> resumed = new ArrayList<>(List.of(settings));
        resumed.add("--resume");
        train(stopped, resumed.toArray(String[]::new)).succeeded();
        assertArrayEquals(weights(whole), weights(stopped));
        assertEquals(Program.numbers(whole), Program.numbers(stopped));
    }

    @Test
    void settingsThatAreNoneAreRefused() {
        for (String wrong : List.of(
                "--on-spike maybe",
                "--spike-loss-ratio 1",
                "--spike-grad-norm -1",
                "--spike-window 1",
                "--spike-sigmas 0",
                "--spike-limit -1",
                "--metric-for-best-model bleu")) {
            String[] words = wrong.split(" ");
            assertEquals(2, train(whole, words[0], words[1]).status(), wrong);
        }
    }

    private Outcome train(Path out, String... more) {
        List<String> args = new ArrayList<>(List.of(
                "--no-shuffle",
                "--max-steps",
                "" + STEPS,
                "--batch-size",
                "1",
                "--gradient-accumulation-steps",
                "1",
                "--lr",
                "1e-3",
                "--logging-steps",
                "1",
                "--spike-grad-norm",
                "0",
                "--spike-loss-ratio",
                "3"));
        if (!List.of(more).contains("--lr-scheduler-type")) {
            args.addAll(List.of("--warmup-ratio", "0"));
        }
        for (int i = 0; i + 1 < more.length; i++) {
            int at = args.indexOf(more[i]);
            if (more[i].startsWith("--") && at >= 0) {
                args.subList(at, at + 2).clear();
            }
        }
        args.addAll(List.of(more));
        return Program.train(out, rows, args.toArray(String[]::new));
    }

    private static byte[] weights(Path model) throws IOException {
        return Files.readAllBytes(model.resolve("model.safetensors"));
    }

    private static ByteBuffer adapter(Path model) throws IOException {
        return ByteBuffer.wrap(Files.readAllBytes(model.resolve("adapter_model.safetensors")));
    }
}
