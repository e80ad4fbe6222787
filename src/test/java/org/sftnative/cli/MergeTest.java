package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.config.LoraInit;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.RandomAdapter;
import org.sftnative.support.InMemory;

/// `merge`, and adapters of `eval` and `generate`, on the project's small model.
class MergeTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path adapter;

    @BeforeEach
    void adapter() throws IOException {
        rows = Program.rows(dir, 0, 12);
        adapter = save("adapter", config(false, List.of()), 1, 0.1);
    }

    private Path save(String name, AdapterConfig config, long seed, double scale) {
        Path directory = dir.resolve(name);
        RandomAdapter.save(directory, Program.BASE, config, seed, scale);
        return directory;
    }

    static AdapterConfig config(boolean dora, List<String> saved) {
        return new AdapterConfig(
                4,
                8,
                0.05,
                new AdapterConfig.Targets.AllLinear(),
                saved,
                true,
                dora,
                Map.of("down_proj", 6),
                Map.of("layers.0.mlp.up_proj", 3.0),
                LoraInit.TRUE);
    }

    private Outcome merge(Path adapter, Path out, String... more) {
        List<String> args = new ArrayList<>(List.of(
                "merge", "--model", Program.BASE.toString(), "--adapter", adapter.toString(), "--threads", "1"));
        args.addAll(List.of("--output-dir", out.toString()));
        args.addAll(Arrays.asList(more));
        return Program.run(args.toArray(String[]::new));
    }

    private double loss(Path model, String... more) {
        List<String> args = new ArrayList<>(
                List.of("eval", "--model", model.toString(), "--eval-file", rows.toString(), "--threads", "1"));
        args.addAll(Arrays.asList(more));
        return Double.parseDouble(
                Program.run(args.toArray(String[]::new)).succeeded().out().split(" +")[1]);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void mergedModelIsBasePlusAdapter(boolean dora) throws IOException {
        adapter = save("kinds", config(dora, List.of("lm_head", "embed_tokens")), 2, 0.1);
        Path out = dir.resolve("merged");
        Outcome outcome = merge(adapter, out, "--dtype", "fp32").succeeded();
        assertTrue(outcome.out().contains("logits differ by"), outcome.out());
        assertTrue(outcome.out().contains("float32, is in " + out), outcome.out());
        double base = loss(Program.BASE);
        double apart = loss(Program.BASE, "--adapter", adapter.toString());
        double merged = loss(out);
        assertTrue(Math.abs(apart - base) > 0.1, "the adapter does something: " + base + " " + apart);
        assertEquals(apart, merged, 1e-5);
        assertFalse(Files.exists(out.resolve("adapter_config.json")));
        assertTrue(Files.exists(out.resolve("tokenizer.json")));
    }

    @Test
    void severalAdaptersAddUpInOrder() throws IOException {
        Path second = save("second", config(true, List.of()), 3, 0.1);
        Path out = dir.resolve("merged");
        merge(adapter, out, "--adapter", second.toString(), "--dtype", "fp32").succeeded();
        double both = loss(Program.BASE, "--adapter", adapter.toString(), "--adapter", second.toString());
        assertEquals(both, loss(out), 1e-5);
        assertTrue(Math.abs(both - loss(Program.BASE, "--adapter", adapter.toString())) > 1e-3);
        assertTrue(Math.abs(both - loss(Program.BASE, "--adapter", second.toString())) > 1e-3);
    }

    @ParameterizedTest
    @CsvSource({"bf16,bfloat16", "fp16,float16"})
    void narrowTypesAreShardedAndClose(String dtype, String name) throws IOException {
        Path out = dir.resolve("merged");
        Outcome outcome = merge(adapter, out, "--dtype", dtype, "--max-shard-size", "400KB")
                .succeeded();
        assertTrue(outcome.out().contains("rounding to " + name), outcome.out());
        assertTrue(Files.exists(out.resolve("model.safetensors.index.json")));
        assertTrue(Files.readString(out.resolve("config.json")).contains("\"dtype\": \"" + name + "\""));
        assertEquals(loss(Program.BASE, "--adapter", adapter.toString()), loss(out), 0.02);
    }

    @Test
    void withoutADtypeWeightsAreStoredAsTheBasesAre() {
        Outcome outcome = merge(adapter, dir.resolve("merged")).succeeded();
        assertTrue(outcome.out().contains("the merged model, bfloat16, is in"), outcome.out());
    }

    @Test
    void modelThatWouldComputeSomethingElseIsNotSaved() {
        Path large = save("large", config(false, List.of()), 4, 600); // products of 600 x 600 are beyond fp16
        Path out = dir.resolve("merged");
        Outcome outcome = merge(large, out, "--dtype", "fp16");
        assertEquals(2, outcome.status(), outcome.err());
        assertTrue(outcome.err().contains("nothing was saved"), outcome.err());
        assertFalse(Files.exists(out));
    }

    @Test
    void adapterIsAppliedWhenAnswering() {
        Path strong = save("strong", config(false, List.of()), 5, 0.3);
        assertFalse(answer().equals(answer("--adapter", strong.toString())), "the adapter changes the answer");
        merge(strong, dir.resolve("merged"), "--dtype", "fp32").succeeded();
        assertEquals(
                Program.run(
                                "generate",
                                "--model",
                                dir.resolve("merged").toString(),
                                "--instruction",
                                "Name three colours.",
                                "--max-new-tokens",
                                "24")
                        .succeeded()
                        .out(),
                answer("--adapter", strong.toString()));
    }

    private static String answer(String... more) {
        List<String> args = new ArrayList<>(
                List.of("generate", "--model", Program.BASE.toString(), "--instruction", "Name three colours."));
        args.addAll(List.of("--max-new-tokens", "24"));
        args.addAll(Arrays.asList(more));
        return Program.run(args.toArray(String[]::new)).succeeded().out();
    }

    /// The small model's loss in 4 bits is near its own, in 8 bits nearer; adapters are applied beside the quantised
    /// weights.
    @Test
    void quantisedModelScoresAndTakesAnAdapter() {
        double plain = loss(Program.BASE);
        double four = loss(Program.BASE, "--load-in-4bit");
        double single = loss(Program.BASE, "--load-in-4bit", "--no-bnb-4bit-use-double-quant");
        double eight = loss(Program.BASE, "--load-in-8bit");
        assertTrue(four != plain && Math.abs(four - plain) < 0.2, plain + " " + four);
        assertTrue(single != four && Math.abs(single - plain) < 0.2, plain + " " + single);
        assertTrue(eight != plain && Math.abs(eight - plain) < 0.02, plain + " " + eight);
        double adapted = loss(Program.BASE, "--load-in-8bit", "--adapter", adapter.toString());
        assertEquals(loss(Program.BASE, "--adapter", adapter.toString()), adapted, 0.05);
    }

    @Test
    void wrongInputIsRefused() throws IOException {
        refused(merge(adapter, dir.resolve("m"), "--max-shard-size", "big"), "max_shard_size", "5GB");
        refused(merge(adapter, dir.resolve("m"), "--dtype", "int8"), "dtype", "fp32, bf16, fp16");
        refused(merge(adapter, Program.BASE), "not empty");
        refused(merge(adapter, Program.BASE, "--overwrite-output-dir"), "directory of the model itself");
        refused(merge(adapter, adapter, "--overwrite-output-dir"), "directory of the model itself");
        refused(merge(Program.BASE, dir.resolve("m")), "it is a whole model");
        refused(merge(dir.resolve("none"), dir.resolve("m")), "does not exist");
        refused(Program.run("merge", "--model", Program.BASE.toString(), "--output-dir", "m"), "adapter");
        refused(
                Program.run(
                        "eval",
                        "--model",
                        Program.BASE.toString(),
                        "--eval-file",
                        rows.toString(),
                        "--load-in-4bit",
                        "--load-in-8bit"),
                "exclude each other");
        refused(
                Program.run(
                        "eval",
                        "--model",
                        Program.BASE.toString(),
                        "--eval-file",
                        rows.toString(),
                        "--no-bnb-4bit-use-double-quant"),
                "load_in_4bit");
        refused(
                Program.run(
                        "eval",
                        "--model",
                        Program.BASE.toString(),
                        "--eval-file",
                        rows.toString(),
                        "--load-in-4bit",
                        "--adapter",
                        adapter.toString(),
                        "--adapter",
                        adapter.toString()),
                "several adapters");
        refused(Program.train(dir.resolve("run"), rows, "--load-in-4bit"), "--lora-r");
        Files.writeString(
                adapter.resolve("adapter_config.json"),
                Files.readString(adapter.resolve("adapter_config.json"))
                        .replace("\"use_rslora\": true", "\"use_rslora\": 1"));
        refused(merge(adapter, dir.resolve("m")), "use_rslora");
        assertFalse(Files.exists(dir.resolve("m")));
    }

    private static void refused(Outcome outcome, String... texts) {
        assertEquals(2, outcome.status(), outcome.err() + outcome.out());
        for (String text : texts) {
            assertTrue(outcome.err().contains(text), outcome.err());
        }
    }
}
