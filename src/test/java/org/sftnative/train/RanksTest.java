package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.function.IntFunction;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.Worlds;
import org.sftnative.io.ModelDirectory;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LossFunction;
import org.sftnative.model.ParameterLayout;
import org.sftnative.support.InMemory;
import org.sftnative.support.TensorAssert;

/// Runs of several ranks (threads of this process, over Gloo) are those of one process.
class RanksTest {
    private static final Path BASE = Path.of("src/test/resources/golden/base");

    /// Norm-relative, fp32: measured up to 4e-7; a rank left out or counted twice is off by 0.1 and
    /// more.
    private static final double SAME = 2e-6;

    @TempDir(factory = InMemory.class)
    Path dir;

    private final List<RunEvent> events = new CopyOnWriteArrayList<>();

    /// 18 rows: a step of 16 and one of 2, in which ranks have no row.
    @Test
    void batchAccumulationAndWorldGiveTheGradientOfOneProcess() throws Exception {
        Map<String, String> still = Map.of("learning_rate", "0", "max_grad_norm", "0", "num_train_epochs", "1");
        Path whole = train(1, "whole", 18, with(still, batch(4, 4)));
        for (int[] grid : new int[][] {{2, 4, 2}, {8, 1, 2}, {4, 1, 4}, {1, 4, 4}}) {
            Path out = train(grid[2], Arrays.toString(grid), 18, with(still, batch(grid[0], grid[1])));
            assertSameGradient(whole, out);
            for (String sharding : List.of("zero2", "zero3")) {
                Map<String, String> shared = with(still, Map.of("sharding", sharding));
                String name = sharding + Arrays.toString(grid);
                assertSameGradient(whole, train(grid[2], name, 18, with(shared, batch(grid[0], grid[1]))));
            }
        }
        Path reference = train(2, "reference", 18, with(with(still, batch(4, 2)), Map.of("engine", "reference")));
        assertSameGradient(whole, reference);
        Path tokens = train(1, "tokens-1", 18, with(still, Map.of("tokens_per_step", "700")));
        assertSameGradient(tokens, train(3, "tokens-3", 18, with(still, Map.of("tokens_per_step", "700"))));
        for (String sharding : List.of("zero2", "zero3")) {
            Map<String, String> shared = with(still, Map.of("sharding", sharding, "tokens_per_step", "700"));
            assertSameGradient(tokens, train(3, "tokens-" + sharding, 18, shared));
        }
    }

    @Test
    void adaptersToo() throws Exception {
        Map<String, String> lora = Map.of(
                "lora_r",
                "4",
                "lora_dropout",
                "0.1",
                "neftune_noise_alpha",
                "5",
                "num_train_epochs",
                "1",
                "learning_rate",
                "0",
                "max_grad_norm",
                "0");
        float[] whole = moments(train(1, "whole", 18, with(lora, batch(4, 4))));
        TensorAssert.assertNormClose("m", whole, moments(train(2, "two", 18, with(lora, batch(4, 2)))), SAME);
    }

    @Test
    void lossesNormsEvaluationsAndWeightsAreThoseOfOneProcess() throws Exception {
        Map<String, String> settings = Map.of(
                "learning_rate", "1e-4", "max_grad_norm", "0.5", "num_train_epochs", "2", "eval_fraction", "0.2");
        Path whole = train(1, "whole", 30, with(settings, batch(4, 2)));
        List<RunEvent> one = List.copyOf(events);
        Path two = train(2, "two", 30, with(settings, batch(4, 1)));
        List<RunEvent.Shared> shared = events.stream()
                .filter(RunEvent.Shared.class::isInstance)
                .map(RunEvent.Shared.class::cast)
                .toList();
        assertEquals(6, shared.size());
        shared.forEach(event -> event.ranks().forEach(load -> {
            assertTrue(load.tokensPerSecond() > 0, load::toString);
            assertTrue(
                    load.waiting() >= 0 && load.sending() > 0 && load.waiting() + load.sending() < 1, load::toString);
        }));
        events.removeAll(shared);
        assertEquals(one.size(), events.size());
        for (int i = 0; i < one.size(); i++) {
            switch (one.get(i)) {
                case RunEvent.StepDone step -> {
                    RunEvent.StepDone other = (RunEvent.StepDone) events.get(i);
                    assertEquals(step.loss(), other.loss(), 1e-5);
                    assertEquals(step.gradNorm(), other.gradNorm(), 1e-4);
                    assertEquals(step.tokens(), other.tokens());
                    assertEquals(step.learningRate(), other.learningRate());
                }
                case RunEvent.Evaluated eval -> {
                    RunEvent.Evaluated other = (RunEvent.Evaluated) events.get(i);
                    assertEquals(eval.loss(), other.loss(), 1e-5);
                    assertEquals(eval.labelTokens(), other.labelTokens());
                }
                default -> assertEquals(one.get(i).getClass(), events.get(i).getClass());
            }
        }
        // AdamW divides by the root of v: what is nearly zero moves as the rest does
        TensorAssert.assertNormClose("weights", weights(whole), weights(two), 2e-5);
    }

    @Test
    void twoRanksThatGoOnEndBitForBitAsTwoThatWereNotStopped() throws Exception {
        Map<String, String> settings = with(batch(2, 2), Map.of("learning_rate", "1e-3", "num_train_epochs", "2"));
        Path whole = train(2, "whole", 18, settings);
        train(2, "parts", 18, with(settings, Map.of("save_steps", "2")));
        Path parts = dir.resolve("parts");
        remove(parts, 3);
        train(2, "parts", 18, with(settings, Map.of("resume_from_checkpoint", "latest", "save_steps", "2")));
        assertArrayEquals(weights(whole), weights(parts));
        assertTrue(events.getFirst() instanceof RunEvent.Started started && started.firstStep() == 2, events::toString);
    }

    /// Its loss is NaN on rank 1 alone, in its third pass.
    @ParameterizedTest
    @EnumSource(ShardingChoice.class)
    void aLossThatIsNoneOnOneRankSkipsTheUpdateOfAll(ShardingChoice sharding) throws Exception {
        int[] passes = {0};
        train(
                2,
                "out",
                18,
                with(batch(4, 1), Map.of("num_train_epochs", "2", "sharding", "" + sharding)),
                rank -> (logits, targets) -> rank == 1 && ++passes[0] == 3
                        ? new CrossEntropy().sum(logits, targets).mul(new Scalar(Double.NaN))
                        : new CrossEntropy().sum(logits, targets));
        List<String> warnings = warnings();
        assertEquals(1, warnings.size(), warnings.toString());
        assertTrue(warnings.getFirst().startsWith("step 3: loss NaN, gradient norm NaN"), warnings.toString());
    }

    /// Infinite on rank 1 alone, with a gradient that is finite: nothing but the loss tells.
    @Test
    void anInfiniteLossOfOneRankSkipsTheUpdateOfAll() throws Exception {
        int[] passes = {0};
        train(2, "out", 18, with(batch(4, 1), Map.of("num_train_epochs", "2")), rank -> (logits, targets) -> {
            Tensor sum = new CrossEntropy().sum(logits, targets);
            return rank == 1 && ++passes[0] == 3 ? sum.add(new Scalar(Double.POSITIVE_INFINITY)) : sum;
        });
        List<String> warnings = warnings();
        assertEquals(1, warnings.size(), warnings.toString());
        assertTrue(
                warnings.getFirst().matches("step 3: loss Infinity, gradient norm [0-9.]+, .*"), warnings.toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "zero1", "zero2", "zero3"})
    void tooLittleMemoryOnOneRankMakesAllRepeatTheStepWithSmallerMicroBatches(String sharding) throws Exception {
        Map<String, String> settings = with(
                batch(4, 2),
                Map.of("num_train_epochs", "1", "learning_rate", "0", "max_grad_norm", "0", "sharding", sharding));
        Path whole = train(2, "whole", 18, settings);
        boolean[] failed = {false};
        Path out = train(2, "out", 18, settings, rank -> (logits, targets) -> {
            if (rank == 1 && !failed[0]) {
                failed[0] = true;
                throw new RuntimeException("CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has none.");
            }
            return new CrossEntropy().sum(logits, targets);
        });
        assertTrue(
                warnings().getFirst().startsWith("step 1: no memory for a micro-batch of"),
                warnings().toString());
        assertSameGradient(whole, out);
    }

    @ParameterizedTest
    @ValueSource(strings = {"zero1", "zero2", "zero3"})
    void ranksThatShareTheOptimizerTrainAsThoseThatEachHoldIt(String sharding) throws Exception {
        Map<String, String> settings =
                Map.of("learning_rate", "1e-4", "max_grad_norm", "0.5", "weight_decay", "0.1", "num_train_epochs", "2");
        Path each = train(3, "each", 18, with(settings, batch(2, 1)));
        Path shared = train(3, "shared", 18, with(with(settings, batch(2, 1)), Map.of("sharding", sharding)));
        Path parts = Checkpoints.list(shared).getLast();
        double whole = Files.size(OptimizerParts.file(Checkpoints.list(each).getLast(), 0, 1));
        assertEquals(3, OptimizerParts.count(parts));
        for (int rank = 0; rank < 3; rank++) { // a third of the state each, to 5%
            assertEquals(whole / 3, Files.size(OptimizerParts.file(parts, rank, 3)), whole / 3 * 0.05);
        }
        TensorAssert.assertNormClose("m", moments(each), moments(shared), 1e-5);
        TensorAssert.assertNormClose("weights", weights(each), weights(shared), 1e-6);
    }

    @Test
    void adaptersWithTwoRatesShareTheOptimizerToo() throws Exception {
        Map<String, String> plus = Map.of("lora_r", "4", "lora_plus_ratio", "16", "learning_rate", "1e-3");
        Path lora = train(1, "lora-1", 18, with(plus, batch(4, 1)));
        TensorAssert.assertNormClose(
                "LoRA+",
                moments(lora),
                moments(train(2, "lora-2", 18, with(with(plus, batch(2, 1)), Map.of("sharding", "zero1")))),
                1e-4);
    }

    /// 768 numbers in all: parts begin at multiples of 256, and four ranks have none, none, none and all.
    @Test
    void ranksMayHaveNoPart() throws Exception {
        Map<String, String> few = Map.of("lora_r", "1", "lora_target_modules", "q_proj", "learning_rate", "1e-3");
        Path whole = train(1, "whole", 18, with(few, batch(4, 1)));
        Path four = train(4, "four", 18, with(with(few, batch(1, 1)), Map.of("sharding", "zero1")));
        assertEquals(768, moments(whole).length);
        TensorAssert.assertNormClose("m", moments(whole), moments(four), 1e-4);
    }

    @Test
    void severalRanksDoNotBeginWithPissa() {
        Map<String, String> pissa = Map.of("lora_r", "2", "init_lora_weights", "pissa");
        Throwable e = assertThrows(ExecutionException.class, () -> train(2, "pissa", 18, with(pissa, batch(2, 1))))
                .getCause();
        assertTrue(e.getMessage().contains("singular values of its own"), e.getMessage());
    }

    /// Sums of two are the same in any order: of one micro-batch a rank, all bits are.
    @ParameterizedTest
    @ValueSource(strings = {"zero2", "zero3"})
    void twoRanksThatShareMoreEndBitForBitAsTwoThatShareTheOptimizer(String sharding) throws Exception {
        Map<String, String> settings = with(
                batch(2, 1), Map.of("learning_rate", "1e-3", "num_train_epochs", "2", "micro_batch_tokens", "4000"));
        Path one = train(2, "one", 18, with(settings, Map.of("sharding", "zero1")));
        List<RunEvent> events = List.copyOf(this.events);
        Path two = train(2, "two", 18, with(settings, Map.of("sharding", sharding)));
        assertArrayEquals(weights(one), weights(two));
        assertArrayEquals(moments(one), moments(two));
        assertEquals(norms(events), norms(this.events));
        assertEquals(10, norms(events).size());
    }

    private static List<Double> norms(List<RunEvent> events) {
        return events.stream()
                .filter(RunEvent.StepDone.class::isInstance)
                .map(event -> ((RunEvent.StepDone) event).gradNorm())
                .toList();
    }

    /// Not rounded at the same places: 2.4e-3 apart; a rank left out is 0.1 and more.
    @Test
    void inBf16TheyAreAlikeToo() throws Exception {
        Map<String, String> settings = with(
                batch(2, 2),
                Map.of("learning_rate", "0", "max_grad_norm", "0", "num_train_epochs", "1", "precision", "bf16"));
        Path one = train(2, "one", 18, with(settings, Map.of("sharding", "zero1")));
        Path two = train(2, "two", 18, with(settings, Map.of("sharding", "zero2")));
        TensorAssert.assertNormClose("m", moments(one), moments(two), 5e-3);
        settings = with(settings, Map.of("learning_rate", "1e-3")); // weights as they are stored are sent
        two = train(2, "two", 18, with(settings, Map.of("sharding", "zero2", "overwrite_output_dir", "true")));
        Path three = train(2, "three", 18, with(settings, Map.of("sharding", "zero3")));
        assertArrayEquals(moments(two), moments(three));
    }

    /// Two evaluation rows, of which a third rank has none.
    @Test
    void ranksThatShareWeightsEvaluateAndAnswerAsOneProcess() throws Exception {
        Map<String, String> settings = Map.of(
                "learning_rate", "1e-4", "eval_file", "" + rows(2), "report_samples", "2", "micro_batch_tokens", "60");
        train(1, "one", 18, with(settings, batch(6, 1)));
        List<RunEvent.Evaluated> scores = of(RunEvent.Evaluated.class);
        List<RunEvent.Sampled> samples = of(RunEvent.Sampled.class);
        train(3, "three", 18, with(with(settings, batch(2, 1)), Map.of("sharding", "zero3")));
        List<RunEvent.Evaluated> others = of(RunEvent.Evaluated.class);
        assertEquals(3, scores.size());
        assertEquals(3, others.size());
        for (int i = 0; i < 3; i++) {
            assertEquals(scores.get(i).loss(), others.get(i).loss(), 1e-5);
            assertEquals(scores.get(i).labelTokens(), others.get(i).labelTokens());
        }
        assertEquals(6, samples.size());
        assertEquals(samples, of(RunEvent.Sampled.class));
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "zero3"})
    void tooLittleMemoryInAnEvaluationOnOneRankMakesItScoreSmallerMicroBatches(String sharding) throws Exception {
        Map<String, String> settings = with(
                batch(2, 1),
                Map.of("eval_fraction", "0.5", "num_train_epochs", "1", "sharding", sharding, "learning_rate", "1e-4"));
        train(2, "whole", 18, settings);
        List<RunEvent.Evaluated> scores = of(RunEvent.Evaluated.class);
        int[] scored = {0};
        train(2, "out", 18, settings, rank -> (logits, targets) -> {
            if (rank == 1 && !logits.requires_grad() && ++scored[0] == 1) {
                throw new RuntimeException("CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has none.");
            }
            return new CrossEntropy().sum(logits, targets);
        });
        assertTrue(scored[0] > 2, scored[0] + " passes"); // of one, and then of its halves
        assertEquals(1, scores.size());
        assertEquals(
                scores.getFirst().loss(),
                of(RunEvent.Evaluated.class).getFirst().loss(),
                1e-6);
    }

    /// A spike, from which the run goes back to a checkpoint or the start; at the end the best weights are taken.
    @ParameterizedTest
    @ValueSource(strings = {"steps", "no"})
    void ranksThatShareWeightsGoBackAsThoseThatHoldThem(String saving) throws Exception {
        Map<String, String> settings = with(
                batch(2, 1),
                Map.of(
                        "learning_rate",
                        "1e-2",
                        "num_train_epochs",
                        "2",
                        "micro_batch_tokens",
                        "4000",
                        "on_spike",
                        "rollback",
                        "spike_grad_norm",
                        "1000",
                        "save_strategy",
                        saving,
                        "eval_fraction",
                        "0.2",
                        "eval_strategy",
                        "steps",
                        "eval_steps",
                        "1",
                        "load_best_model_at_end",
                        "" + saving.equals("steps")));
        List<float[]> weights = new ArrayList<>();
        for (String sharding : List.of("zero2", "zero3")) {
            int[] passes = {0};
            Path out =
                    train(2, sharding, 18, with(settings, Map.of("sharding", sharding)), rank -> (logits, targets) -> {
                        Tensor sum = new CrossEntropy().sum(logits, targets);
                        return rank == 1 && logits.requires_grad() && ++passes[0] == 5 ? sum.mul(new Scalar(1e6)) : sum;
                    });
            weights.add(weights(out));
            assertEquals(2, of(RunEvent.Started.class).size());
            assertEquals(
                    saving.equals("steps"), warnings().toString().startsWith("[the model is that of checkpoint-1,"));
        }
        assertArrayEquals(weights.getFirst(), weights.getLast());
    }

    private <T> List<T> of(Class<T> kind) {
        return events.stream().filter(kind::isInstance).map(kind::cast).toList();
    }

    @ParameterizedTest
    @ValueSource(strings = {"zero2", "zero3"})
    void theReferenceEngineSharesNoGradients(String sharding) {
        Map<String, String> settings = Map.of("engine", "reference", "sharding", sharding);
        assertEquals(
                "sharding '" + sharding + "' is of the fused engine; here the engine is the reference"
                        + "\n  use --sharding zero1",
                assertThrows(InputException.class, () -> train(1, "out", 18, settings))
                        .getMessage());
    }

    /// With steps by tokens, which do not depend on the ranks: 3 ranks, then 2, then one, each from the
    /// others' parts.
    @ParameterizedTest
    @CsvSource({"zero1, zero2", "zero2, zero1", "zero2, none", "zero2, zero3", "none, zero3", "zero3, zero1"})
    void aCheckpointOfSomeRanksIsReadByOtherNumbersOfThem(String first, String then) throws Exception {
        readByOthers(first, then);
    }

    @ParameterizedTest
    @Tag("slow")
    @CsvSource({"none, zero1", "none, zero2", "zero1, none", "zero1, zero3", "zero3, none", "zero3, zero2"})
    void aCheckpointOfSomeRanksIsReadByOthersHoweverTheyShare(String first, String then) throws Exception {
        readByOthers(first, then);
    }

    private void readByOthers(String first, String then) throws Exception {
        Map<String, String> settings =
                Map.of("tokens_per_step", "400", "learning_rate", "1e-4", "max_steps", "6", "save_steps", "2");
        Path whole = train(1, "whole", 18, settings);
        Path parts = dir.resolve("parts");
        train(3, "parts", 18, with(settings, Map.of("sharding", first)));
        remove(parts, 4);
        settings = with(settings, Map.of("resume_from_checkpoint", "latest"));
        train(2, "parts", 18, with(settings, Map.of("sharding", then)));
        remove(parts, 6);
        train(1, "parts", 18, with(settings, Map.of("sharding", then)));
        TensorAssert.assertNormClose("m", moments(whole), moments(parts), 1e-4);
        TensorAssert.assertNormClose("weights", weights(whole), weights(parts), 2e-5);
    }

    @ParameterizedTest
    @ValueSource(strings = {"zero1", "zero2", "zero3"})
    void ranksThatShareTheOptimizerGoOnBitForBit(String sharding) throws Exception {
        Map<String, String> settings =
                with(batch(2, 2), Map.of("learning_rate", "1e-3", "num_train_epochs", "2", "sharding", sharding));
        Path whole = train(2, "whole", 18, settings);
        train(2, "parts", 18, settings);
        remove(dir.resolve("parts"), 3);
        train(2, "parts", 18, with(settings, Map.of("resume_from_checkpoint", "latest")));
        assertArrayEquals(weights(whole), weights(dir.resolve("parts")));
        assertArrayEquals(moments(whole), moments(dir.resolve("parts")));
    }

    /// The checkpoints of a step and later ones.
    static void remove(Path out, long from) throws IOException {
        for (Path checkpoint : Checkpoints.list(out)) {
            if (Long.parseLong(checkpoint.getFileName().toString().substring(11)) >= from) {
                Files.delete(checkpoint.resolve("trainer_state.json"));
            }
        }
    }

    private List<String> warnings() {
        return events.stream()
                .filter(RunEvent.Warned.class::isInstance)
                .map(event -> ((RunEvent.Warned) event).message())
                .toList();
    }

    private Path train(int size, String name, int rows, Map<String, String> settings) throws Exception {
        return train(size, name, rows, settings, _ -> new CrossEntropy());
    }

    /// Ends with the same state on every rank.
    private Path train(int size, String name, int rows, Map<String, String> settings, IntFunction<LossFunction> loss)
            throws Exception {
        events.clear();
        Path out = dir.resolve(name);
        Map<String, String> all = new HashMap<>(Map.of(
                "model_name_or_path", BASE.toString(),
                "train_file", rows(rows).toString(),
                "output_dir", out.toString(),
                "save_steps", "1",
                "save_total_limit", "0",
                "logging_steps", "1",
                "report_samples", "0",
                "micro_batch_tokens", "200",
                "threads", "1"));
        all.putAll(settings);
        RunSettings run = SettingsSchema.of(RunSettings.class).bind(all);
        RunListener listener = events::add;
        if (size == 1) {
            Training.run(run, Recipe.STANDARD.withLoss(loss.apply(0)), List.of(listener));
            return out;
        }
        List<RunState> ends = Worlds.run(
                size,
                world -> Training.run(
                        run,
                        Recipe.STANDARD.withLoss(loss.apply(world.rank())),
                        List.of(listener),
                        new RunControl(),
                        world));
        ends.forEach(end -> assertEquals(ends.getFirst(), end));
        return out;
    }

    private Path rows(int n) throws IOException {
        List<String> lines =
                Files.readAllLines(Path.of("data/quickstart.jsonl")).subList(0, n);
        return Files.write(dir.resolve("rows-" + n + ".jsonl"), lines);
    }

    static Map<String, String> batch(int rows, int accumulation) {
        return Map.of("per_device_train_batch_size", "" + rows, "gradient_accumulation_steps", "" + accumulation);
    }

    static Map<String, String> with(Map<String, String> some, Map<String, String> more) {
        Map<String, String> all = new HashMap<>(some);
        all.putAll(more);
        return all;
    }

    /// AdamW's m at a rate of zero is a sum of the steps' gradients.
    private static void assertSameGradient(Path whole, Path other) throws IOException {
        float[] expected = moments(whole);
        float[] actual = moments(other);
        try (ModelDirectory model = ModelDirectory.open(BASE)) {
            for (ParameterLayout.Slot slot :
                    ParameterLayout.of(LlamaConfig.of(model.config())).slots().values()) {
                int from = (int) slot.offset();
                int to = from + (int) slot.numel();
                TensorAssert.assertNormClose(
                        other.getFileName() + ": " + slot.name(),
                        Arrays.copyOfRange(expected, from, to),
                        Arrays.copyOfRange(actual, from, to),
                        SAME);
            }
        }
    }

    /// The optimizer's m of the last checkpoint, one part behind the other.
    static float[] moments(Path out) throws IOException {
        Path last = Checkpoints.list(out).getLast();
        int parts = OptimizerParts.count(last);
        float[] all = new float[0];
        for (int rank = 0; rank < parts; rank++) {
            try (SafetensorsFile file = SafetensorsFile.open(OptimizerParts.file(last, rank, parts))) {
                float[] more = file.bytes("exp_avg").toArray(java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED);
                int n = all.length;
                all = Arrays.copyOf(all, n + more.length);
                System.arraycopy(more, 0, all, n, more.length);
            }
        }
        return all;
    }

    private static float[] weights(Path out) throws IOException {
        List<Float> all = new ArrayList<>();
        try (SafetensorsFile file = SafetensorsFile.open(out.resolve("model.safetensors"))) {
            file.tensors().keySet().stream().sorted().forEach(name -> {
                for (float f : file.bytes(name).toArray(java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED)) {
                    all.add(f);
                }
            });
        }
        float[] weights = new float[all.size()];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = all.get(i);
        }
        return weights;
    }
}
