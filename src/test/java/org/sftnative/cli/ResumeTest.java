package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.support.InMemory;

/// A run that was stopped and goes on ends bit for bit as one that was not. 20 rows, 8 a step: 3 steps an epoch, the
/// last one short; logged every 2 steps, so that a checkpoint at step 3 stands between two logged ones.
class ResumeTest {
    private static final int STEPS = 7;

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path held;
    private Path whole;

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 20);
        held = Program.rows(dir, 20, 26);
        whole = dir.resolve("whole");
    }

    /// In the middle of an epoch, at its end, after the last step. Every other way to compute and to order rows is
    /// resumed in the middle of an epoch, and at all of them with `--slow`.
    @ParameterizedTest
    @CsvSource({"fp32, fused", "fp32, reference", "bf16, fused", "bf16, reference", "bf16-autocast, reference"})
    void resumedRunIsBitwiseTheUninterruptedOne(String precision, String engine) throws IOException {
        resumed("--precision " + precision + " --engine " + engine, 2, 3, STEPS);
    }

    private void resumed(String line, int... steps) throws IOException {
        String[] settings = line.split(" ");
        train(whole, rows, settings).succeeded();
        for (int at : steps) {
            Path stopped = stopped(whole, at, "stopped-" + at);
            Outcome outcome = resume(stopped, "latest", settings).succeeded();
            assertTrue(outcome.out().contains("going on after step " + at + " of " + STEPS), outcome.out());
            assertSame(whole, stopped, at);
        }
    }

    /// Several micro-batches a step (a kill in the midst of them is a resume from the checkpoint before), noise on the
    /// embeddings, recomputation, and every way of the CPU to keep bf16 weights.
    static List<String> waysToCompute() {
        return List.of(
                "--precision bf16 --masters none",
                "--precision bf16 --masters split --micro-batch-tokens 200 --neftune-noise-alpha 5",
                "--precision bf16-autocast --micro-batch-tokens 200 --gradient-checkpointing",
                "--micro-batch-tokens 150 --recompute full --neftune-noise-alpha 5 --weight-decay 0.1",
                "--micro-batch-tokens 1 --engine reference --lr-scheduler-type constant_with_warmup");
    }

    @ParameterizedTest
    @MethodSource("waysToCompute")
    void resumedRunIsBitwiseTheUninterruptedOneHoweverItComputes(String line) throws IOException {
        resumed(line, 2);
    }

    @ParameterizedTest
    @Tag("slow")
    @MethodSource("waysToCompute")
    void resumedAnywhereARunIsBitwiseTheUninterruptedOneHoweverItComputes(String line) throws IOException {
        resumed(line, 2, 3, STEPS);
    }

    /// Another cut of a step into micro-batches is the same run but for the last bits: 2e-6 relative to the norm of
    /// each tensor is allowed.
    @Test
    void anotherCutIntoMicroBatchesGoesOnAndIsEqualButForRounding() throws IOException {
        train(whole, rows).succeeded();
        Path stopped = stopped(whole, 3, "stopped");
        Outcome outcome =
                resume(stopped, "latest", "--micro-batch-tokens", "150").succeeded();
        assertTrue(outcome.out().contains("micro_batch_tokens 1024 -> 150"), outcome.out());
        try (SafetensorsFile expected = SafetensorsFile.open(whole.resolve("model.safetensors"));
                SafetensorsFile actual = SafetensorsFile.open(stopped.resolve("model.safetensors"))) {
            for (String name : expected.tensors().keySet()) {
                float[] a = expected.bytes(name).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
                float[] b = actual.bytes(name).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
                double off = 0;
                double norm = 0;
                for (int i = 0; i < a.length; i++) {
                    off += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
                    norm += (double) a[i] * a[i];
                }
                assertTrue(Math.sqrt(off / norm) < 2e-6, name + " is " + Math.sqrt(off / norm) + " off");
            }
        }
    }

    /// Whatever decides which rows a step has: packed sequences, tokens, mixed sets, several files in turns.
    static List<String> ordersOfRows() {
        return List.of(
                "--packing bfd --max-length 128 --gradient-accumulation-steps 1",
                "--tokens-per-step 700",
                "--packing bfd --max-length 128 --tokens-per-step 500",
                "--mix MIXED=0.3 --neftune-noise-alpha 5",
                "--combine interleave --dedup --mix MIXED=0.2",
                "--no-shuffle --combine interleave --mix MIXED=0.3 --packing bfd");
    }

    @ParameterizedTest
    @MethodSource("ordersOfRows")
    void resumedRunIsBitwiseTheUninterruptedOneInAnyOrderOfRows(String line) throws IOException {
        ordered(line, 3);
    }

    @ParameterizedTest
    @Tag("slow")
    @MethodSource("ordersOfRows")
    void resumedAnywhereARunIsBitwiseTheUninterruptedOneInAnyOrderOfRows(String line) throws IOException {
        ordered(line, 1, 2, 3, 5);
    }

    private void ordered(String line, int... steps) throws IOException {
        Path mixed = Program.rows(dir, 26, 31);
        List<String> settings =
                new ArrayList<>(List.of(line.replace("MIXED", mixed.toString()).split(" ")));
        settings.addAll(List.of(
                "--train-file", rows.toString(), Program.rows(dir, 15, 22).toString()));
        train(whole, settings).succeeded();
        for (int at : steps) {
            Path stopped = stopped(whole, at, "stopped-" + at);
            settings.addAll(List.of("--resume", "latest"));
            Outcome outcome = train(stopped, settings).succeeded();
            settings.subList(settings.size() - 2, settings.size()).clear();
            assertTrue(outcome.out().contains("going on after step " + at + " of " + STEPS), outcome.out());
            assertSame(whole, stopped, at);
        }
    }

    private Outcome train(Path out, List<String> settings) {
        List<String> args = new ArrayList<>(
                List.of("train", "--model", Program.BASE.toString(), "--threads", "1", "--output-dir", out.toString()));
        args.addAll(List.of(settings(settings.toArray(String[]::new))));
        return Program.run(args.toArray(String[]::new));
    }

    @Test
    void resumingTwiceInARowIsTheSame() throws IOException {
        train(whole, rows).succeeded();
        Path once = stopped(whole, 2, "once");
        resume(once, "latest").succeeded();
        Path twice = stopped(once, 5, "twice");
        resume(twice, "latest").succeeded();
        assertSame(whole, twice, 5);
    }

    @Test
    void aNamedCheckpointIsResumedFromInAnotherDirectoryAndInItsOwn() throws IOException {
        train(whole, rows).succeeded();
        String third = whole.resolve("checkpoint-3").toString();
        Path elsewhere = dir.resolve("elsewhere");
        resume(elsewhere, third).succeeded();
        assertArrayEquals(weights(whole), weights(elsewhere));
        Path own = Program.copy(whole, dir.resolve("own"));
        resume(own, own.resolve("checkpoint-3").toString()).succeeded();
        assertSame(whole, own, 3);
    }

    @Test
    void checkpointsBeyondTheOneResumedFromMakeWay() throws IOException {
        train(whole, rows, "--save-total-limit", "0").succeeded();
        resume(whole, whole.resolve("checkpoint-2").toString(), "--lr", "1e-4", "--save-steps", "3")
                .succeeded();
        assertTrue(Files.exists(whole.resolve("checkpoint-3")));
        assertTrue(Files.exists(whole.resolve("checkpoint-" + STEPS)));
        assertFalse(Files.exists(whole.resolve("checkpoint-5"))); // of the run with the other learning rate
    }

    @Test
    void anotherRunsDirectoryIsNotResumedInto() throws IOException {
        train(whole, rows).succeeded();
        Path used = Files.createDirectories(dir.resolve("used"));
        Files.writeString(used.resolve("thesis.txt"), "years of work");
        Outcome outcome = resume(used, whole.resolve("checkpoint-2").toString());
        assertEquals(2, outcome.status());
        assertTrue(outcome.err().startsWith("error: " + used + " is not empty\n"), outcome.err());
        assertEquals(1, Program.contents(used).size());
    }

    @Test
    void anotherRunsCheckpointIsRefusedWithBothValues() throws IOException {
        train(whole, rows).succeeded();
        Path others = Program.rows(dir, 1, 21); // as many
        refused("rows: 20 (", train(whole, others, "--resume", "latest"), " there, 20 (");
        refused("rows: 20 (", train(whole, Program.rows(dir, 0, 19), "--resume", "latest"), " there, 19 (");
        Path otherTokens = Program.copyOfBase(Files.createDirectories(dir.resolve("tokens")));
        String tokenizer = Files.readString(otherTokens.resolve("tokenizer.json"));
        String fewer = tokenizer.replaceFirst("\\[\\s*\"o\",\\s*\"n\"\\s*],", "");
        assertTrue(fewer.length() < tokenizer.length(), "the merge is gone already");
        Files.writeString(otherTokens.resolve("tokenizer.json"), fewer);
        refused("rows: 20 (", Program.train(otherTokens, whole, rows, settings("--resume", "latest")), " there, 20 (");
        refused("step of: 8 rows there, 4 rows here", resume(whole, "latest", "--gradient-accumulation-steps", "1"));
        refused("seed: 42 there, 43 here", resume(whole, "latest", "--seed", "43"));
        refused(
                "order: shuffled, concatenate there, unshuffled, concatenate here",
                resume(whole, "latest", "--no-shuffle"));
        refused("step of: 8 rows there, at most 500 tokens here", resume(whole, "latest", "--tokens-per-step", "500"));
        refused(
                "step of: 8 rows there, 8 sequences of up to 512 tokens here",
                resume(whole, "latest", "--packing", "bfd"));
        refused(
                "order: shuffled, concatenate there, shuffled, interleave here",
                resume(whole, "latest", "--combine", "interleave"));
        refused(
                "order: shuffled, concatenate there, shuffled, concatenate, deduplicated here",
                resume(whole, "latest", "--dedup"));
        refused(
                "order: shuffled, concatenate there, shuffled, concatenate, mix 0.1 from document 20 here",
                resume(whole, "latest", "--mix", held + "=0.1"));
        refused("precision: fp32 there, bf16 here", resume(whole, "latest", "--precision", "bf16"));
        refused("precision: fp32 there, bf16-autocast here", resume(whole, "latest", "--precision", "bf16-autocast"));
        refused("steps of the whole run: 7 there, 8 here", resume(whole, "latest", "--max-steps", "8"));
        Path model = Program.copyOfBase(dir);
        String config = Files.readString(model.resolve("config.json"));
        Files.writeString(
                model.resolve("config.json"), config.replace("\"rope_theta\": 10000.0", "\"rope_theta\": 20000.0"));
        refused("holds another model than " + model, Program.train(model, whole, rows, settings("--resume", "latest")));
    }

    private void refused(String says, Outcome outcome, String... more) {
        assertEquals(2, outcome.status(), outcome.out());
        assertTrue(outcome.err().startsWith("error: " + whole + "/checkpoint-7 "), outcome.err());
        assertTrue(outcome.err().contains(says), () -> says + " is not in\n" + outcome.err());
        for (String text : more) {
            assertTrue(outcome.err().contains(text), () -> text + " is not in\n" + outcome.err());
        }
    }

    private Outcome train(Path out, Path rows, String... more) {
        return Program.train(out, rows, settings(more));
    }

    private Outcome resume(Path out, String from, String... more) {
        List<String> args = new ArrayList<>(List.of("--resume", from));
        args.addAll(List.of(more));
        return train(out, rows, args.toArray(String[]::new));
    }

    /// What is given wins over what all runs here have in common.
    private String[] settings(String... more) {
        List<String> all = new ArrayList<>(List.of(more));
        String[] common = {
            "--max-steps " + STEPS,
            "--batch-size 4",
            "--gradient-accumulation-steps 2",
            "--lr 1e-3",
            "--logging-steps 2",
            "--save-steps 1",
            "--save-total-limit 0",
            "--eval-file " + held
        };
        for (String flag : common) {
            String[] words = flag.split(" ");
            if (!all.contains(words[0])) {
                all.addAll(List.of(words));
            }
        }
        return all.toArray(String[]::new);
    }

    /// What a run would have left, had it been killed after the logging that followed a checkpoint.
    private Path stopped(Path run, int at, String name) throws IOException {
        Path stopped = Files.createDirectories(dir.resolve(name));
        Program.copy(run.resolve("checkpoint-" + at), stopped.resolve("checkpoint-" + at));
        Files.createDirectories(stopped.resolve(".tmp-checkpoint-" + (at + 1)));
        Files.writeString(stopped.resolve(".tmp-checkpoint-" + (at + 1)).resolve("model.safetensors"), "half");
        Files.copy(run.resolve("metrics.jsonl"), stopped.resolve("metrics.jsonl"));
        return stopped;
    }

    private static void assertSame(Path whole, Path resumed, int at) throws IOException {
        assertArrayEquals(weights(whole), weights(resumed), "weights, resumed at " + at);
        assertEquals(Program.numbers(whole), Program.numbers(resumed), "metrics, resumed at " + at);
        for (int step = at; step <= STEPS; step++) {
            String name = "checkpoint-" + step;
            var expected = Program.contents(whole.resolve(name));
            var actual = Program.contents(resumed.resolve(name));
            assertEquals(expected.keySet(), actual.keySet(), name);
            expected.forEach((file, content) ->
                    assertTrue(content.equals(actual.get(file)), () -> name + "/" + file + ", resumed at " + at));
        }
    }

    private static byte[] weights(Path model) throws IOException {
        return Files.readAllBytes(model.resolve("model.safetensors"));
    }
}
