package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
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
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.support.InMemory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Adapters from the command line: what is saved, going on, and what is refused. 8 rows, 4 a step, 6 steps.
class LoraTest {
    private static final List<String> WEIGHTS = List.of("adapter_config.json", "adapter_model.safetensors");

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 8);
    }

    private Outcome train(Path out, String... more) {
        List<String> all = new ArrayList<>(
                List.of("--num-train-epochs", "3", "--batch-size", "2", "--gradient-accumulation-steps", "2"));
        all.addAll(List.of("--learning-rate", "1e-3", "--save-steps", "1", "--save-total-limit", "0"));
        all.addAll(List.of("--logging-steps", "1"));
        all.addAll(Arrays.asList(more));
        return Program.train(out, rows, all.toArray(String[]::new));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--lora-r 4",
                "--lora-r 4 --engine reference",
                "--lora-r 4 --lora-dropout 0.2 --lora-plus-ratio 4 --use-rslora --lora-alpha 4 --neftune-noise-alpha 5",
                "--lora-r 4 --precision bf16 --gradient-checkpointing",
                "--lora-r 4 --precision bf16-autocast --engine reference --lora-dropout 0.1",
                "--lora-r 3 --use-dora --lora-target-modules q_proj,v_proj --modules-to-save lm_head,norm",
                "--lora-r 4 --init-lora-weights pissa",
                "--lora-r 3 --init-lora-weights pissa --use-rslora --rank-pattern q_proj=5 --modules-to-save lm_head"
                        + " --precision bf16 --engine reference",
                "--lora-r 4 --load-in-4bit",
                "--lora-r 4 --load-in-8bit --engine reference"
            })
    void resumedRunIsBitwiseTheUninterruptedOne(String line) throws IOException {
        String[] settings = line.split(" ");
        Path whole = dir.resolve("whole");
        train(whole, settings).succeeded();
        List<Double> losses = Program.values(whole, "loss");
        assertTrue(losses.getLast() < losses.getFirst(), losses.toString());
        assertFalse(Files.exists(whole.resolve("model.safetensors")));
        assertTrue(Files.exists(whole.resolve("tokenizer.json")));
        List<String> again = new ArrayList<>(Arrays.asList(settings));
        again.addAll(List.of("--resume", "latest"));
        Path before = whole;
        // in the middle of an epoch, at its end, after the last step; each goes on from where the one before went on
        for (int at : new int[] {1, 4, 6}) {
            Path stopped = Files.createDirectories(dir.resolve("stopped-" + at));
            Program.copy(before.resolve("checkpoint-" + at), stopped.resolve("checkpoint-" + at));
            Files.copy(before.resolve("metrics.jsonl"), stopped.resolve("metrics.jsonl"));
            train(stopped, again.toArray(String[]::new)).succeeded();
            for (String file : WEIGHTS) {
                assertEquals(-1, Files.mismatch(whole.resolve(file), stopped.resolve(file)), file + " from " + at);
            }
            Path last = Path.of("checkpoint-6");
            assertEquals(Program.contents(whole.resolve(last)), Program.contents(stopped.resolve(last)), "from " + at);
            assertEquals(Program.numbers(whole), Program.numbers(stopped), "from " + at);
            before = stopped;
        }
    }

    /// In memory the base was changed; the adapter is of the one on the disk.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "--lora-r 4",
                "--lora-r 4 --use-rslora --lora-alpha 6 --rank-pattern q_proj=5 --alpha-pattern v_proj=9"
                        + " --modules-to-save lm_head"
            })
    void whatPissaTrainedIsSavedAsLoraOverTheBaseAsItIs(String line) throws IOException {
        Path out = dir.resolve("out");
        train(out, (line + " --init-lora-weights pissa --eval-file " + rows).split(" "))
                .succeeded();
        double trained = Program.values(out, "eval_loss").getLast();
        JsonNode config =
                new JsonMapper().readTree(out.resolve("adapter_config.json").toFile());
        assertEquals(8, config.get("r").asInt());
        assertEquals(trained, Program.eval(Program.BASE, rows, "--adapter", out.toString()), 1e-4);
        Path plain = dir.resolve("plain");
        train(plain, (line + " --eval-file " + rows).split(" ")).succeeded();
        assertNotEquals(trained, Program.values(plain, "eval_loss").getLast(), 1e-3);
    }

    @Test
    void anAdapterIsTrainedOn() throws IOException {
        Path first = dir.resolve("first");
        Outcome outcome = train(first, "--lora-r", "4").succeeded();
        assertTrue(outcome.out().contains("LoRA r 4"), outcome.out());
        Path second = dir.resolve("second");
        train(second, "--adapter", first.toString()).succeeded();
        double last = Program.values(first, "loss").getLast();
        assertTrue(Program.values(second, "loss").getFirst() < last, "it began anew");
        assertEquals(-1, Files.mismatch(first.resolve(WEIGHTS.getFirst()), second.resolve(WEIGHTS.getFirst())));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', textBlock = """
            --lora-r 0 | 'lora_r' (--lora-r) is 0, must be from 1
            --lora-r 4 --lora-target-modules q_proj,query | no linear layer of the blocks is named 'query'
            --lora-r 4 --lora-target-modules query | q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj
            --lora-r 4 --lora-target-modules .*attention.* | match no linear layer
            --lora-r 4 --lora-target-modules (.*.*.*.*.*.*.*.*)X | takes too long
            --lora-r 4 --lora-target-modules (q_proj | is no regular expression
            --lora-r 4 --modules-to-save head2 | 'head2' is no module that is trained in full
            --lora-r 4 --rank-pattern q_proj=0 | must be a module and a rank
            --lora-r 4 --alpha-pattern q_proj=1e999 | must be a module and an alpha above 0
            --use-dora | is of adapters
            --load-in-4bit | a quantised model cannot be trained itself
            --lora-r 4 --masters none | is of a model that is trained itself
            --lora-r 4 --adapter nowhere | keep one of them
            --lora-r 4000 --init-lora-weights pissa | singular values of its matrix
            --lora-r 4 --init-lora-weights pissa --use-dora | must be true or gaussian with use_dora
            --lora-r 4 --init-lora-weights pissa --load-in-4bit | changes the base, which is quantised
            --lora-r 4 --load-in-4bit --load-in-8bit | exclude each other
            """)
    void whatContradictsItselfIsRefused(String line, String message) {
        Path out = dir.resolve("out");
        Outcome outcome = train(out, line.split(" "));
        assertEquals(2, outcome.status(), outcome.err());
        assertTrue(outcome.err().contains(message), outcome.err());
        assertFalse(Files.exists(out));
    }

    @Test
    void overAnotherModelOrItsQuantisedWeightsAdaptersDoNotGoOn() throws IOException {
        Path out = dir.resolve("out");
        train(out, "--lora-r", "4").succeeded();
        Outcome quantised = train(out, "--lora-r", "4", "--load-in-4bit", "--resume");
        assertEquals(2, quantised.status(), quantised.err());
        assertTrue(quantised.err().contains("trained: adapters over "), quantised.err());
        assertTrue(quantised.err().contains(" in NF4_DOUBLE here"), quantised.err());
        Path whole = dir.resolve("whole");
        train(whole).succeeded();
        List<String> args = new ArrayList<>(List.of("--lora-r", "4", "--resume"));
        Outcome other = Program.train(whole, out, rows, args.toArray(String[]::new));
        assertEquals(2, other.status(), other.err());
        assertTrue(other.err().contains("trained: adapters over "), other.err());
    }

    @Test
    void whatChangesOfAdaptersIsSaid() {
        Path out = dir.resolve("out");
        train(out, "--lora-r", "4").succeeded();
        String said = train(out, "--lora-r", "4", "--lora-dropout", "0.5", "--lora-plus-ratio", "4", "--resume")
                .succeeded()
                .out();
        assertTrue(said.contains("lora_dropout 0.0 -> 0.5, lora_plus_ratio 1.0 -> 4.0"), said);
    }

    @Test
    void anotherRankDoesNotResume() {
        Path out = dir.resolve("out");
        train(out, "--lora-r", "4").succeeded();
        Outcome outcome = train(out, "--lora-r", "8", "--resume", "latest");
        assertEquals(2, outcome.status(), outcome.err());
        assertTrue(outcome.err().contains("has other adapters than this run: r 4"), outcome.err());
    }
}
