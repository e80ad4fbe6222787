package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.SpikeSettings;
import org.sftnative.data.StepPlan;
import org.sftnative.data.TrainingData;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.LlamaEngine;
import org.sftnative.model.LossFunction;
import org.sftnative.model.Parameters;
import org.sftnative.model.Recompute;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.optim.AdamWOptimizer;
import org.sftnative.support.OpsCalls;

/// Memory that runs out, injected where a loss or an operation is computed: with libtorch's own words.
class OutOfMemoryTest {
    private static final String CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of"
            + " 79.19 GiB of which 1.20 GiB is free. Including non-PyTorch memory";
    private static final String CPU = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't"
            + " allocate memory: you tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)";

    @TempDir
    Path temp;

    private final List<RunEvent> events = new ArrayList<>();

    @ParameterizedTest
    @ValueSource(strings = {CUDA, CPU, "std::bad_alloc"})
    void aRunThatHalvesAtItsFirstStepIsTheRunThatBeganWithTheHalf(String message) throws IOException {
        RunState halved = train("halved", failing(message, call -> call == 1), "micro_batch_tokens", "600");
        int found = halved.microBatchTokens();
        assertTrue(found > 0 && found <= 300, "found " + found);
        List<RunEvent.Warned> warned = events.stream()
                .filter(RunEvent.Warned.class::isInstance)
                .map(RunEvent.Warned.class::cast)
                .toList();
        assertEquals(1, warned.size(), warned.toString());
        assertTrue(warned.getFirst().message().startsWith("step 1: no memory for a micro-batch of "));
        RunState plain = train("plain", failing("", call -> false), "micro_batch_tokens", "" + found);
        assertEquals(plain, halved.withMicroBatchTokens(0));
        assertArrayEquals(weights("plain"), weights("halved"));
    }

    /// The failure comes in the middle of a step, when gradients of some rows are there already. Another cut than
    /// before changes the last bits: 2e-6 is allowed, a row twice or not at all is 1e-2.
    @Test
    void aStepThatIsRepeatedTrainsNoRowTwice() {
        RunState plain = train("plain", failing("", call -> false), "micro_batch_tokens", "600");
        List<Double> expected = losses("plain");
        // the third step's second micro-batch and, smaller, its third
        RunState repeated =
                train("repeated", failing(CPU, call -> call == 8 || call == 11), "micro_batch_tokens", "600");
        assertEquals(plain.tokens(), repeated.tokens());
        assertEquals(plain.labelTokens(), repeated.labelTokens());
        assertEquals(plain.step(), repeated.step());
        List<Double> actual = losses("repeated");
        assertEquals(expected.size(), actual.size());
        for (int i = 0; i < expected.size(); i++) {
            assertEquals(1, actual.get(i) / expected.get(i), 2e-6, "step " + (i + 1));
        }
    }

    @Test
    void theSizeThatWasFoundIsInTheCheckpointAndHoldsAfterAResume() throws IOException {
        RunState whole =
                train("whole", failing(CUDA, call -> call == 1), "micro_batch_tokens", "600", "save_steps", "2");
        Path stopped = Files.createDirectories(temp.resolve("stopped"));
        copy(temp.resolve("whole/checkpoint-4"), stopped.resolve("checkpoint-4"));
        String[] resume = {"micro_batch_tokens", "600", "save_steps", "2", "resume_from_checkpoint", "latest"};
        assertEquals(whole, train("stopped", failing("", call -> false), resume));
        assertArrayEquals(weights("whole"), weights("stopped"));
        // another size is wanted: that is taken
        Path other = Files.createDirectories(temp.resolve("other"));
        copy(temp.resolve("whole/checkpoint-4"), other.resolve("checkpoint-4"));
        resume[1] = "500";
        assertEquals(0, train("other", new CrossEntropy(), resume).microBatchTokens());
    }

    @Test
    void oneRowThatDoesNotFitIsAnErrorAndNotAnEndlessLoop() {
        RuntimeException e = assertThrows(
                RuntimeException.class, () -> train("out", failing(CPU, call -> true), "micro_batch_tokens", "600"));
        assertEquals(CPU, e.getMessage());
    }

    @Test
    void anyOtherFailureIsNotRepeated() {
        RuntimeException e = assertThrows(
                RuntimeException.class,
                () -> train("out", failing("The size of tensor a (3) must match", call -> call == 2)));
        assertEquals("The size of tensor a (3) must match", e.getMessage());
    }

    @Test
    void inTheOptimizersUpdateItLosesTheRunAndSaysSo() {
        for (String where : List.of("adamw", "clip")) {
            RunLostException e = assertThrows(RunLostException.class, () -> trainOn(where));
            assertTrue(
                    e.getMessage()
                            .startsWith("step 2: out of memory in the optimizer's update, which cannot be repeated"),
                    e.getMessage());
            assertTrue(e.getMessage().contains("there is no checkpoint to go on from"), e.getMessage());
        }
    }

    /// A loss that fails at some of its calls, counted from 1: one a micro-batch here.
    private static LossFunction failing(String message, IntPredicate when) {
        int[] calls = {0};
        return (logits, targets) -> {
            if (when.test(++calls[0])) {
                throw new RuntimeException(message);
            }
            return new CrossEntropy().sum(logits, targets);
        };
    }

    private RunState train(String out, LossFunction loss, String... more) {
        return Training.run(settings(out, more), Recipe.STANDARD.withLoss(loss), List.of(events::add));
    }

    private RunSettings settings(String out, String... more) {
        Map<String, String> settings = new HashMap<>(Map.of(
                "model_name_or_path", "src/test/resources/golden/base",
                "train_file", "data/quickstart.jsonl",
                "output_dir", temp.resolve(out).toString(),
                "max_steps", "6",
                "per_device_train_batch_size", "8",
                "gradient_accumulation_steps", "1",
                "learning_rate", "1e-3",
                "logging_steps", "1",
                "threads", "1"));
        if (!List.of(more).contains("save_steps")) {
            settings.put("save_strategy", "no");
        }
        if (List.of(more).contains("resume_from_checkpoint")) {
            settings.put("overwrite_output_dir", "true");
        }
        for (int i = 0; i < more.length; i += 2) {
            settings.put(more[i], more[i + 1]);
        }
        return SettingsSchema.of(RunSettings.class).bind(settings);
    }

    /// A loop whose second call of one operation has no memory.
    private RunState trainOn(String operation) {
        RunSettings settings = settings("none");
        int[] calls = {0};
        Ops aten = new AtenOps();
        Ops ops = OpsCalls.to((method, args) -> {
            if (method.getName().equals(operation) && ++calls[0] == 2) {
                throw new RuntimeException(CUDA);
            }
            return method.invoke(aten, args);
        });
        try (LoadedModel loaded = LoadedModel.open(settings.model());
                Parameters weights = loaded.weights()) {
            weights.enableGradients();
            long n = weights.layout().numel();
            try (LlamaEngine model = new LlamaEngine(loaded.config(), weights, ops, Recompute.NONE);
                    AdamWOptimizer optimizer = new AdamWOptimizer(
                            ops,
                            weights.flatWeights(),
                            weights.flatGradients(),
                            new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, n, 0, 0),
                            AdamWState.create(AdamWState.Masters.FP32, AdamWState.Moments.FP32, n, weights.device()))) {
                TrainingData data = TrainingData.load(
                        settings.data(), settings.rows(), settings.encoding(), loaded.tokenizer(), said -> {});
                StepPlan plan = new StepPlan(data.train(), 8, 600, 1, true);
                return new TrainLoop(
                                model,
                                new CrossEntropy(),
                                optimizer,
                                step -> 1e-3,
                                plan,
                                settings.training(),
                                new SpikeGuard(SpikeSettings.OFF),
                                new NoHooks(),
                                events::add,
                                World.ALONE)
                        .run(RunState.START);
            }
        }
    }

    private List<Double> losses(String out) {
        List<Double> losses = events.stream()
                .filter(RunEvent.StepDone.class::isInstance)
                .map(event -> ((RunEvent.StepDone) event).loss())
                .toList();
        events.clear();
        return losses;
    }

    private byte[] weights(String out) throws IOException {
        return Files.readAllBytes(temp.resolve(out).resolve("model.safetensors"));
    }

    private static void copy(Path from, Path to) throws IOException {
        try (var files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
    }
}
