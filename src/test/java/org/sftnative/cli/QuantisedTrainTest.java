package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
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

/// Adapters trained over a quantised base, from arguments to files.
class QuantisedTrainTest {
    private static final String WEIGHTS = "adapter_model.safetensors";

    @TempDir
    Path dir;

    private Path rows;

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 20);
    }

    private Outcome train(Path out, String... more) {
        List<String> args = new ArrayList<>(List.of(
                "--lora-r",
                "4",
                "--batch-size",
                "4",
                "--gradient-accumulation-steps",
                "1",
                "--lr",
                "5e-3",
                "--logging-steps",
                "1",
                "--num-train-epochs",
                "2",
                "--save-steps",
                "4",
                "--save-total-limit",
                "3"));
        args.addAll(Arrays.asList(more));
        return Program.train(out, rows, args.toArray(String[]::new));
    }

    private double loss(String... more) {
        List<String> args = new ArrayList<>(
                List.of("eval", "--model", Program.BASE.toString(), "--eval-file", rows.toString(), "--threads", "1"));
        args.addAll(Arrays.asList(more));
        return Double.parseDouble(
                Program.run(args.toArray(String[]::new)).succeeded().out().split(" +")[1]);
    }

    /// The base is quantised anew, and is the same to the bit.
    @ParameterizedTest
    @ValueSource(strings = {"--load-in-4bit", "--load-in-8bit"})
    void resumeIsBitwiseEqual(String quantised) throws IOException {
        Path whole = dir.resolve("whole");
        train(whole, quantised).succeeded();
        Path again = dir.resolve("again");
        train(again, quantised, "--resume", whole.resolve("checkpoint-4").toString())
                .succeeded();
        assertArrayEquals(
                Files.readAllBytes(whole.resolve(WEIGHTS)), Files.readAllBytes(again.resolve(WEIGHTS)), "adapters");
        assertFalse(Files.exists(whole.resolve("model.safetensors")));
        double base = loss(quantised);
        double tuned = loss(quantised, "--adapter", whole.toString());
        assertTrue(tuned < base - 0.1, base + " before, " + tuned + " after");
    }

    /// The engines read the same quantised weights.
    @Test
    void enginesAgree() throws IOException {
        train(dir.resolve("fused"), "--load-in-4bit", "--save-strategy", "no").succeeded();
        train(dir.resolve("reference"), "--load-in-4bit", "--save-strategy", "no", "--engine", "reference")
                .succeeded();
        List<Double> fused = Program.values(dir.resolve("fused"), "loss");
        List<Double> reference = Program.values(dir.resolve("reference"), "loss");
        assertEquals(10, fused.size());
        for (int i = 0; i < fused.size(); i++) {
            assertEquals(reference.get(i), fused.get(i), 1e-4, "step " + (i + 1));
        }
    }

    /// An adapter that was trained over 4 bits goes into the weights that were not quantised.
    @Test
    void mergedAdapterGoesIntoTheUnquantisedBase() throws IOException {
        Path run = dir.resolve("run");
        train(run, "--load-in-4bit", "--save-strategy", "no").succeeded();
        Path merged = dir.resolve("merged");
        Program.run(
                        "merge",
                        "--model",
                        Program.BASE.toString(),
                        "--adapter",
                        run.toString(),
                        "--output-dir",
                        merged.toString(),
                        "--dtype",
                        "fp32")
                .succeeded();
        Outcome outcome = Program.run(
                        "eval", "--model", merged.toString(), "--eval-file", rows.toString(), "--threads", "1")
                .succeeded();
        assertEquals(
                loss("--adapter", run.toString()),
                Double.parseDouble(outcome.out().split(" +")[1]),
                2e-5);
    }

    /// `--adapter` goes on with an adapter, under its own settings.
    @Test
    void adapterIsTrainedOn() throws IOException {
        Path first = dir.resolve("first");
        train(first, "--load-in-8bit", "--save-strategy", "no").succeeded();
        Path second = dir.resolve("second");
        Program.train(
                        second,
                        rows,
                        "--adapter",
                        first.toString(),
                        "--lr",
                        "5e-3",
                        "--num-train-epochs",
                        "2",
                        "--batch-size",
                        "4",
                        "--gradient-accumulation-steps",
                        "1",
                        "--save-strategy",
                        "no")
                .succeeded();
        assertTrue(loss("--adapter", second.toString()) < loss("--adapter", first.toString()) - 0.02);
    }

    @Test
    void quantisedModelIsNotTrainedItself() {
        Outcome outcome = Program.train(dir.resolve("run"), rows, "--load-in-8bit");
        assertEquals(2, outcome.status());
        assertTrue(outcome.err().contains("--lora-r"), outcome.err());
        assertFalse(Files.exists(dir.resolve("run")));
    }
}
