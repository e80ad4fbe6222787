package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.sftnative.train.RanksTest.batch;
import static org.sftnative.train.RanksTest.moments;
import static org.sftnative.train.RanksTest.remove;
import static org.sftnative.train.RanksTest.with;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntFunction;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.dist.Worlds;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.metrics.RunEvent;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.LossFunction;
import org.sftnative.support.TensorAssert;

/// Whole runs that train adapters over a frozen model whose weights the ranks share out.
class SharedBaseRunsTest {
    private static final String BASE = "src/test/resources/golden/base";

    /// Everything that adapters may have.
    private static final Map<String, String> ALL = Map.of(
            "lora_r", "4",
            "lora_target_modules", ".*layers\\.[12]\\..*(q|o|up)_proj",
            "use_dora", "true",
            "use_rslora", "true",
            "lora_plus_ratio", "4",
            "lora_dropout", "0.1",
            "modules_to_save", "lm_head,norm",
            "learning_rate", "1e-3",
            "num_train_epochs", "2");

    @TempDir
    Path dir;

    private final List<RunEvent> events = new CopyOnWriteArrayList<>();

    /// With evaluations of two rows, of which a third rank has none, samples, and the best weights at the end.
    @Test
    void theyEndBitForBitAsThoseOfRanksThatEachHoldTheModel() throws Exception {
        Map<String, String> settings = with(
                with(ALL, batch(2, 1)),
                Map.of(
                        "eval_file",
                        "" + rows(2),
                        "eval_strategy",
                        "steps",
                        "eval_steps",
                        "2",
                        "report_samples",
                        "1",
                        "load_best_model_at_end",
                        "true",
                        "save_steps",
                        "2"));
        Path one = train(3, "zero1", with(settings, Map.of("sharding", "zero1")));
        List<RunEvent> expected = told();
        Path three = train(3, "zero3", with(settings, Map.of("sharding", "zero3")));
        assertEquals(expected, told());
        assertSame(one, three);
        assertArrayEquals(moments(one), moments(three));
        assertEquals(3, OptimizerParts.count(Checkpoints.list(three).getLast()));
        assertEquals(
                Files.readString(one.resolve("adapter_config.json")),
                Files.readString(three.resolve("adapter_config.json")));
    }

    /// What a run says of steps, evaluations, answers and in warnings, times apart.
    private List<RunEvent> told() {
        return events.stream()
                .<RunEvent>mapMulti((event, found) -> {
                    switch (event) {
                        case RunEvent.StepDone e ->
                            found.accept(new RunEvent.StepDone(
                                    e.step(),
                                    e.totalSteps(),
                                    e.epoch(),
                                    e.loss(),
                                    e.gradNorm(),
                                    e.learningRate(),
                                    e.tokens(),
                                    e.labelTokens(),
                                    0,
                                    0,
                                    e.logged()));
                        case RunEvent.Evaluated e ->
                            found.accept(new RunEvent.Evaluated(e.step(), e.epoch(), e.loss(), e.labelTokens(), 0));
                        case RunEvent.Sampled e -> found.accept(e);
                        case RunEvent.Warned e ->
                            found.accept(new RunEvent.Warned(e.message().replace("zero3", "zero1")));
                        default -> {}
                    }
                })
                .toList();
    }

    /// After the second of five steps: with two ranks again, then with other numbers of them and other sharding.
    @Test
    void theyGoOnExactlyAndWithOtherRanksAndSharding() throws Exception {
        Map<String, String> settings =
                with(ALL, Map.of("sharding", "zero3", "tokens_per_step", "400", "max_steps", "5"));
        Path whole = train(2, "whole", settings);
        Path parts = train(2, "parts", settings);
        remove(parts, 3);
        Map<String, String> goesOn = with(settings, Map.of("resume_from_checkpoint", "latest"));
        train(2, "parts", goesOn);
        assertSame(whole, parts);
        assertArrayEquals(moments(whole), moments(parts));
        remove(parts, 3);
        train(1, "parts", with(goesOn, Map.of("sharding", "none")));
        remove(parts, 4);
        train(3, "parts", goesOn);
        TensorAssert.assertNormClose("m", moments(whole), moments(parts), 1e-4);
        Map<String, float[]> expected = weights(whole);
        weights(parts).forEach((name, values) -> TensorAssert.assertNormClose(name, expected.get(name), values, 1e-4));
    }

    /// A spike, from which a run without checkpoints goes back to its start: DoRA's magnitudes come from the files.
    @Test
    void theyGoBackToTheirStart() throws Exception {
        Map<String, String> settings = with(
                with(ALL, batch(2, 1)),
                Map.of("save_strategy", "no", "on_spike", "rollback", "spike_grad_norm", "1000", "max_steps", "4"));
        IntFunction<LossFunction> spike = rank -> {
            int[] passes = {0};
            return (logits, targets) -> {
                Tensor sum = new CrossEntropy().sum(logits, targets);
                return rank == 1 && ++passes[0] == 3 ? sum.mul(new Scalar(1e6)) : sum;
            };
        };
        Path one = train(2, "zero1", with(settings, Map.of("sharding", "zero1")), spike);
        List<RunEvent> expected = told();
        Path three = train(2, "zero3", with(settings, Map.of("sharding", "zero3")), spike);
        assertEquals(expected, told());
        List<Long> steps = expected.stream()
                .map(event -> ((RunEvent.StepDone) event).step())
                .toList();
        assertEquals(List.of(1L, 2L, 1L, 2L, 4L), steps);
        assertEquals(expected.subList(0, 2), expected.subList(2, 4));
        assertSame(one, three);
    }

    @Test
    void whatIsSharedOutIsSaid() {
        String zero1 = ": adapters as with zero1, for their gradients are small";
        assertEquals("", said("zero1", 2));
        assertEquals("zero2" + zero1, said("zero2", 2));
        assertEquals("zero3" + zero1 + "; the frozen weights are shared out", said("zero3", 2));
        assertEquals("", said("zero3", 1));
    }

    private String said(String sharding, int ranks) {
        RunSettings settings = SettingsSchema.of(RunSettings.class)
                .bind(with(
                        ALL,
                        Map.of(
                                "model_name_or_path",
                                BASE,
                                "train_file",
                                "none",
                                "output_dir",
                                "none",
                                "sharding",
                                sharding)));
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            return ComputePlan.of(settings, loaded, Trainee.adapters(settings, loaded), ranks)
                    .said()
                    .getOrDefault("sharding", "");
        }
    }

    @Test
    void whatCannotBeSharedOutIsRefused() {
        Map<String, String> settings = Map.of("lora_r", "4", "sharding", "zero3");
        assertEquals(
                "sharding 'zero3' is of the fused engine; here the engine is the reference\n  use --sharding zero1",
                refused(with(settings, Map.of("engine", "reference"))));
        assertEquals(
                "sharding zero3 shares out weights as they are, and load_in_4bit packs them"
                        + "\n  use --sharding zero1, where every rank holds the packed weights, or leave out load_in_4bit",
                refused(with(settings, Map.of("load_in_4bit", "true"))));
    }

    private String refused(Map<String, String> settings) {
        return assertThrows(InputException.class, () -> train(1, "refused", settings))
                .getMessage();
    }

    private static void assertSame(Path one, Path other) throws IOException {
        Map<String, float[]> expected = weights(one);
        Map<String, float[]> actual = weights(other);
        assertEquals(expected.keySet(), actual.keySet());
        expected.forEach((name, values) -> assertArrayEquals(values, actual.get(name), name));
    }

    private static Map<String, float[]> weights(Path out) throws IOException {
        Map<String, float[]> all = new TreeMap<>();
        try (SafetensorsFile file = SafetensorsFile.open(out.resolve("adapter_model.safetensors"))) {
            file.tensors()
                    .keySet()
                    .forEach(name -> all.put(name, file.bytes(name).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED)));
        }
        return all;
    }

    private Path train(int size, String name, Map<String, String> settings) throws Exception {
        return train(size, name, settings, _ -> new CrossEntropy());
    }

    private Path train(int size, String name, Map<String, String> settings, IntFunction<LossFunction> loss)
            throws Exception {
        events.clear();
        Path out = dir.resolve(name);
        Map<String, String> all = new HashMap<>(Map.of(
                "model_name_or_path", BASE,
                "train_file", "" + rows(14),
                "output_dir", "" + out,
                "save_steps", "1",
                "save_total_limit", "0",
                "logging_steps", "1",
                "report_samples", "0",
                "micro_batch_tokens", "300",
                "threads", "1"));
        all.putAll(settings);
        RunSettings run = SettingsSchema.of(RunSettings.class).bind(all);
        if (size == 1) {
            Training.run(run, List.of(events::add));
            return out;
        }
        Worlds.run(
                size,
                world -> Training.run(
                        run,
                        Recipe.STANDARD.withLoss(loss.apply(world.rank())),
                        List.of(events::add),
                        new RunControl(),
                        world));
        return out;
    }

    private Path rows(int n) throws IOException {
        List<String> lines =
                Files.readAllLines(Path.of("data/quickstart.jsonl")).subList(0, n);
        return Files.write(dir.resolve("rows-" + n + ".jsonl"), lines);
    }
}
