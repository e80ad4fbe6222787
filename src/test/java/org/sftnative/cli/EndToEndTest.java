package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.io.ModelDirectory;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.io.TensorInfo;
import org.sftnative.metrics.Units;
import org.sftnative.model.LlamaConfig;
import org.sftnative.support.InMemory;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The commands on the project's small model, from arguments to files. 20 rows, 8 a step: 3 steps an epoch.
class EndToEndTest {
    private static final List<String> EIGHT =
            List.of("--batch-size", "4", "--gradient-accumulation-steps", "2", "--lr", "1e-3", "--logging-steps", "1");

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path run;

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 20);
        run = dir.resolve("run");
    }

    private Outcome train(String... more) {
        return train(run, more);
    }

    private Outcome train(Path out, String... more) {
        List<String> args = new ArrayList<>(EIGHT);
        args.addAll(List.of(more));
        return Program.train(out, rows, args.toArray(String[]::new)).succeeded();
    }

    @Test
    void trainingLeavesAModelThatIsBetterAndMetricsOfEveryStep() throws IOException {
        Outcome outcome = train("--num-train-epochs", "2", "--save-strategy", "no");
        Set<String> files = new TreeSet<>(Program.contents(run).keySet());
        assertTrue(files.removeIf(name -> name.startsWith("runs/events.out.tfevents.")), files::toString);
        assertEquals(
                new TreeSet<>(Set.of(
                        "config.json",
                        "events.jsonl",
                        "generation_config.json",
                        "metrics.jsonl",
                        "model.safetensors",
                        "report.html",
                        "special_tokens_map.json",
                        "tokenizer.json",
                        "tokenizer_config.json")),
                files);
        List<ObjectNode> metrics = Program.metrics(run);
        assertEquals(7, metrics.size());
        for (int i = 0; i < 6; i++) {
            assertEquals(
                    List.of(
                            "step",
                            "epoch",
                            "loss",
                            "grad_norm",
                            "learning_rate",
                            "tokens_per_second",
                            "trained_tokens",
                            "label_tokens",
                            "peak_bytes"),
                    List.copyOf(metrics.get(i).propertyNames()));
            assertEquals(i + 1, metrics.get(i).get("step").asInt());
            assertTrue(metrics.get(i).get("peak_bytes").asLong() > 1 << 20);
        }
        assertEquals(List.of(0.4, 0.8, 1.0, 1.4, 1.8, 2.0), Program.values(run, "epoch"));
        assertEquals(
                List.of("step", "train_loss", "train_runtime", "tokens", "peak_bytes"),
                List.copyOf(metrics.get(6).propertyNames()));
        assertTrue(outcome.out().endsWith("the model is in " + run + "\n"), outcome.out());
        assertEquals("", outcome.err());
        double base = Program.eval(Program.BASE, rows);
        double tuned = Program.eval(run, rows);
        assertTrue(tuned < base - 0.2, "loss " + base + " before, " + tuned + " after"); // measured: 1.95, 1.45
    }

    @Test
    void trainedRowsAreAnsweredAndTheAnswerEnds() throws IOException {
        rows = Program.rows(dir, 0, 4);
        Program.train(run, rows, "--lr", "3e-3", "--max-steps", "60", "--batch-size", "4", "--save-strategy", "no")
                .succeeded();
        for (String line : Files.readAllLines(rows)) {
            ObjectNode row = (ObjectNode) new JsonMapper().readTree(line);
            List<String> args = new ArrayList<>(List.of("generate", "--model", run.toString(), "--instruction"));
            args.add(row.get("instruction").asString());
            if (!row.get("input").asString().isEmpty()) {
                args.addAll(List.of("--input", row.get("input").asString()));
            }
            args.addAll(List.of("--max-new-tokens", "300"));
            Outcome answer = Program.run(args.toArray(String[]::new)).succeeded();
            assertEquals(row.get("output").asString() + "\n", answer.out()); // without EOS, 300 tokens of something
        }
    }

    /// A template whose turns end with a special token that is no end of the sequence.
    private static final String ODD_END = "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content"
            + " + '<|system|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

    @ParameterizedTest
    @ValueSource(strings = {"chatml", ODD_END})
    void anAnswerEndsAsTheTemplateOfTheTrainingEndsIt(String template) throws IOException {
        rows = Program.rows(dir, 0, 4);
        String name = template.equals("chatml")
                ? template
                : Files.writeString(dir.resolve("odd.jinja"), template).toString();
        Program.train(
                        run,
                        rows,
                        ("--lr 3e-3 --max-steps 60 --batch-size 4 --save-strategy no --chat-template " + name)
                                .split(" "))
                .succeeded();
        String saved = Files.readString(run.resolve("chat_template.jinja"));
        assertTrue(saved.contains(template.equals("chatml") ? "<|im_end|>" : template), saved);
        for (String line : Files.readAllLines(rows)) {
            ObjectNode row = (ObjectNode) new JsonMapper().readTree(line);
            String input = row.get("input").asString();
            String question = row.get("instruction").asString() + (input.isEmpty() ? "" : "\n\n" + input);
            Outcome answer = Program.run(
                            "generate", "--model", run.toString(), "--prompt", question, "--max-new-tokens", "300")
                    .succeeded();
            assertEquals(row.get("output").asString() + "\n", answer.out());
        }
    }

    @Test
    void initIsAFunctionOfItsSeedAndItsModelLoads() throws IOException {
        Path a = init("a", 7);
        assertEquals(Program.contents(a), Program.contents(init("b", 7)));
        assertNotEquals(
                Program.contents(a).get("model.safetensors"),
                Program.contents(init("c", 8)).get("model.safetensors"));
        assertEquals(Math.log(2048), Program.eval(a, rows), 0.3); // knows nothing: 1 of 2048 each time
    }

    private Path init(String name, long seed) throws IOException {
        Path shape = Files.writeString(dir.resolve("small.yaml"), """
                hidden_size: 32
                intermediate_size: 64
                num_hidden_layers: 2
                num_attention_heads: 4
                num_key_value_heads: 2
                """);
        Path out = dir.resolve(name);
        Program.run(
                        "init",
                        "--config",
                        shape.toString(),
                        "--tokenizer",
                        Program.BASE.toString(),
                        "--output-dir",
                        out.toString(),
                        "--seed",
                        Long.toString(seed))
                .succeeded();
        return out;
    }

    @Test
    void infoCountsTheElementsOfTheFile() {
        long elements;
        try (SafetensorsFile file = SafetensorsFile.open(Program.BASE.resolve("model.safetensors"))) {
            elements = file.tensors().values().stream()
                    .mapToLong(TensorInfo::elements)
                    .sum();
        }
        String out = Program.run("info", Program.BASE.toString()).succeeded().out();
        assertTrue(
                out.startsWith("llama, " + Units.count(elements) + " parameters, stored as bfloat16\n"
                        + "3 layers, hidden 96, ffn 256, 3 heads on 1 of 32, vocabulary 2048, 1024 positions\n"),
                out);
    }

    /// Of one process, and of each of two by the table of docs/SCALE.md.
    @Test
    void infoSaysWhatARankHolds() {
        String alone = Program.run("info", Program.BASE.toString()).succeeded().out();
        assertTrue(alone.contains("What training takes, 4096 tokens"), alone);
        assertTrue(alone.contains("  NF4, LoRA r 16"), alone);
        String shared = Program.run("info", Program.BASE.toString(), "--sharding", "zero3", "--ranks", "2")
                .succeeded()
                .out();
        assertTrue(shared.contains("What training takes on each of 2 ranks with sharding zero3, 4096 tokens"), shared);
        assertFalse(shared.contains("NF4"), shared); // packed weights are not shared out
        Program.Outcome one = Program.run("info", Program.BASE.toString(), "--sharding", "zero3");
        assertEquals(2, one.status());
        assertTrue(one.err().contains("2 or more with sharding zero3"), one.err());
        double p;
        double working;
        try (ModelDirectory directory = ModelDirectory.open(Program.BASE)) {
            LlamaConfig c = LlamaConfig.of(directory.config());
            double block = c.hiddenSize() * (2.0 * c.qSize() + 2.0 * c.kvSize() + 3.0 * c.intermediateSize());
            double table = (double) c.vocabSize() * c.hiddenSize();
            double norms = (2.0 * c.nLayer() + 1) * c.hiddenSize();
            p = c.nLayer() * block + 2 * table + norms;
            working = 2 * block + table + norms;
        }
        assertRow(alone, "fp32", 8 * p, 8 * p);
        assertRow(shared, "fp32", 8 * p / 2 + 8 * working, 8 * p / 2);
        assertRow(shared, "bf16", 4 * p / 2 + 6 * working, 10 * p / 2);
        assertEquals(
                2, Program.run("info", Program.BASE.toString(), "--ranks", "0").status());
    }

    private static void assertRow(String text, String mode, double held, double state) {
        String row = text.lines()
                .filter(line -> line.startsWith("  " + mode + "  "))
                .findFirst()
                .orElseThrow();
        String expected = String.format("  %-21s %-18s %s", mode, Units.bytes((long) held), Units.bytes((long) state));
        assertTrue(row.startsWith(expected), row + " is not " + expected);
    }

    @ParameterizedTest
    @CsvSource({
        "--max-steps 4, 4, 1.4",
        "--num-train-epochs 0.5, 2, 0.8",
        "--num-train-epochs 1.4, 5, 1.8",
        "--num-train-epochs 1, 3, 1.0"
    })
    void runEndsWhereItIsTold(String flags, int steps, double epoch) throws IOException {
        train((flags + " --save-strategy no").split(" "));
        assertEquals(steps, Program.metrics(run).size() - 1);
        assertEquals(epoch, Program.values(run, "epoch").getLast());
    }

    @ParameterizedTest
    @CsvSource({
        "--eval-strategy no, ''",
        "--eval-strategy epoch, 3 6",
        "--eval-strategy steps --eval-steps 2, 2 4 6",
        "--eval-strategy steps --eval-steps 4, 4 6",
    })
    void evaluationHappensWhenItIsDue(String flags, String steps) throws IOException {
        Path held = Program.rows(dir, 20, 32);
        train((flags + " --num-train-epochs 2 --save-strategy no --eval-file " + held).split(" "));
        List<Integer> expected = Stream.of(steps.split(" "))
                .filter(s -> !s.isEmpty())
                .map(Integer::valueOf)
                .toList();
        assertEquals(expected, Program.steps(run, "eval_loss"));
        if (!expected.isEmpty()) {
            // the command prints six digits; the engines' own difference is below 1e-6
            assertEquals(
                    Program.eval(run, held), Program.values(run, "eval_loss").getLast(), 5e-6);
        }
    }

    @Test
    void aPartOfTheRowsIsKeptForEvaluation() throws IOException {
        String out = train("--eval-fraction", "0.4", "--num-train-epochs", "1", "--save-strategy", "no")
                .out();
        int trained = Integer.parseInt(out.replaceAll("(?s).*train rows +(\\d+) .*", "$1"));
        int evaluated = Integer.parseInt(out.replaceAll("(?s).*eval rows +(\\d+) .*", "$1"));
        assertEquals(20, trained + evaluated);
        assertTrue(evaluated > 2 && evaluated < 14, out);
        assertEquals(1, Program.steps(run, "eval_loss").size());
    }

    @ParameterizedTest
    @CsvSource({
        "--save-steps 2, 4 6",
        "--save-steps 2 --save-total-limit 0, 2 4 6",
        "--save-steps 4 --save-total-limit 1, 6",
        "--save-strategy epoch --save-total-limit 5, 3 6",
        "--save-strategy no, ''"
    })
    void checkpointsThatAreKept(String flags, String steps) throws IOException {
        train(("--num-train-epochs 2 " + flags).split(" "));
        try (Stream<Path> entries = Files.list(run)) {
            assertEquals(
                    Stream.of(steps.split(" "))
                            .filter(s -> !s.isEmpty())
                            .map(s -> "checkpoint-" + s)
                            .toList(),
                    entries.map(p -> p.getFileName().toString())
                            .filter(name -> name.contains("checkpoint"))
                            .sorted()
                            .toList());
        }
    }

    @Test
    void everyCheckpointIsAModel() throws IOException {
        train("--num-train-epochs", "1", "--save-steps", "2");
        assertEquals(Program.eval(run, rows), Program.eval(run.resolve("checkpoint-3"), rows));
        assertNotEquals(Program.eval(run, rows), Program.eval(run.resolve("checkpoint-2"), rows));
    }

    @Test
    void anEarlierRunsCheckpointsAreNotMixedWithThoseOfTheRunThatReplacesIt() throws IOException {
        train("--num-train-epochs", "3", "--save-steps", "4", "--save-total-limit", "2");
        train("--num-train-epochs", "1", "--save-steps", "2", "--save-total-limit", "2", "--overwrite-output-dir");
        try (Stream<Path> entries = Files.list(run)) {
            assertEquals(
                    List.of("checkpoint-2", "checkpoint-3"),
                    entries.map(p -> p.getFileName().toString())
                            .filter(name -> name.contains("checkpoint"))
                            .sorted()
                            .toList());
        }
        assertEquals(3, Program.steps(run, "loss").size());
        train("--num-train-epochs", "1", "--save-strategy", "no", "--overwrite-output-dir");
        assertTrue(Program.contents(run).keySet().stream().noneMatch(name -> name.contains("checkpoint")));
    }

    @Test
    void smallUpdatesOfBf16WeightsAreNotLost() throws IOException {
        String small = "--max-steps 100 --lr 1e-5 --lr-scheduler-type constant --save-strategy no --precision ";
        Path exact = dir.resolve("exact");
        Program.train(exact, rows, (small + "fp32").split(" ")).succeeded();
        Program.train(run, rows, (small + "bf16").split(" ")).succeeded();
        // one update is below half a unit of bf16 for weights above 0.003, and all of them are well above it
        double moved = 0;
        double expected = 0;
        try (SafetensorsFile from = SafetensorsFile.open(Program.BASE.resolve("model.safetensors"));
                SafetensorsFile to = SafetensorsFile.open(run.resolve("model.safetensors"));
                SafetensorsFile in = SafetensorsFile.open(exact.resolve("model.safetensors"))) {
            for (String name : from.tensors().keySet()) {
                float[] before = floats(from, name);
                float[] bf16 = floats(to, name);
                float[] fp32 = floats(in, name);
                for (int i = 0; i < before.length; i++) {
                    double step = fp32[i] - before[i];
                    moved += step * (bf16[i] - before[i]);
                    expected += step * step;
                }
            }
        }
        // of the way that fp32 weights go
        assertEquals(1, moved / expected, 0.2);
    }

    private static float[] floats(SafetensorsFile file, String name) {
        MemorySegment values =
                MemorySegment.ofArray(new float[(int) file.info(name).elements()]);
        file.read(name, Dtype.F32, values);
        return values.toArray(ValueLayout.JAVA_FLOAT);
    }

    @ParameterizedTest
    @CsvSource({"fused, fp32", "reference, fp32", "fused, bf16", "reference, bf16", "reference, bf16-autocast"})
    void gradientCheckpointingChangesNoBit(String engine, String precision) throws IOException {
        Path plain = dir.resolve("plain");
        String[] flags =
                ("--num-train-epochs 1 --save-strategy no --engine " + engine + " --precision " + precision).split(" ");
        train(plain, flags);
        String[] more = Stream.concat(Stream.of(flags), Stream.of("--gradient-checkpointing"))
                .toArray(String[]::new);
        train(run, more);
        assertEquals(Program.numbers(plain), Program.numbers(run));
        assertArrayEquals(weights(plain), weights(run));
    }

    @Test
    void onACpuThereIsNothingToOffloadAndItIsSaid() throws IOException {
        Path plain = dir.resolve("plain");
        train(plain, "--max-steps", "3", "--save-strategy", "no");
        String said = train(run, "--max-steps", "3", "--save-strategy", "no", "--offload-optimizer")
                .out();
        assertTrue(said.contains("offload_optimizer   of no use on a CPU: "), said);
        assertArrayEquals(weights(plain), weights(run));
    }

    @ParameterizedTest
    @ValueSource(strings = {"fp32", "bf16-autocast", "bf16"})
    void everyPrecisionLearnsTheSame(String precision) throws IOException {
        train("--num-train-epochs", "2", "--save-strategy", "no", "--precision", precision);
        Path exact = dir.resolve("exact");
        train(exact, "--num-train-epochs", "2", "--save-strategy", "no", "--precision", "fp32");
        String dtype = precision.equals("bf16") ? "bfloat16" : "float32";
        assertEquals(
                dtype,
                new JsonMapper()
                        .readTree(Files.readString(run.resolve("config.json")))
                        .get("dtype")
                        .asString());
        double base = Program.eval(Program.BASE, rows);
        double learned = base - Program.eval(exact, rows);
        assertEquals(learned, base - Program.eval(run, rows), 0.05 * learned, precision);
    }

    private static byte[] weights(Path model) throws IOException {
        return Files.readAllBytes(model.resolve("model.safetensors"));
    }
}
