package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.RunEvent;
import org.sftnative.support.InMemory;
import org.sftnative.support.LivePointers;

/// Everything native that a step makes dies in it: libtorch's objects are invisible to Java's collector, so that one
/// tensor too many a step fills the machine.
class NativeMemoryTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    @ParameterizedTest
    @CsvSource({
        "fused, bf16, false, 40",
        "fused, fp32, true, 40",
        "reference, fp32, false, 40",
        "reference, bf16-autocast, true, 40",
        "fused, fp32, false, 200"
    })
    void livePointersAreConstantFromStepToStep(String engine, String precision, boolean checkpointing, int steps)
            throws Exception {
        constant(engine, precision, checkpointing, steps);
    }

    @ParameterizedTest
    @Tag("slow")
    @CsvSource({"fused, bf16, false", "fused, fp32, true", "reference, fp32, false", "reference, bf16-autocast, true"})
    void livePointersAreConstantOverTwoHundredSteps(String engine, String precision, boolean checkpointing)
            throws Exception {
        constant(engine, precision, checkpointing, 200);
    }

    /// With evaluation every 10 steps and a checkpoint after each quarter.
    private void constant(String engine, String precision, boolean checkpointing, int steps) throws Exception {
        List<String> lines = Files.readAllLines(Path.of("data/quickstart.jsonl"));
        Path rows = Files.write(dir.resolve("rows.jsonl"), lines.subList(0, 12));
        Map<String, String> settings = new HashMap<>(Map.of(
                "model",
                "src/test/resources/golden/base",
                "train_file",
                rows.toString(),
                "eval_file",
                Files.write(dir.resolve("held.jsonl"), lines.subList(12, 15)).toString(),
                "output_dir",
                dir.resolve("out").toString(),
                "max_steps",
                Integer.toString(steps),
                "per_device_train_batch_size",
                "2",
                "gradient_accumulation_steps",
                "2",
                "micro_batch_tokens",
                "64"));
        settings.putAll(Map.of(
                "eval_strategy",
                "steps",
                "eval_steps",
                "10",
                "save_steps",
                Integer.toString(steps / 4),
                "engine",
                engine,
                "precision",
                precision,
                "gradient_checkpointing",
                Boolean.toString(checkpointing),
                "threads",
                "1"));
        List<Long> live = new ArrayList<>();
        List<Long> heap = new ArrayList<>();
        AtomicBoolean writing = new AtomicBoolean();
        RunSettings run = SettingsSchema.of(RunSettings.class).bind(settings);
        settings.put("max_steps", "1");
        settings.put("output_dir", dir.resolve("first").toString());
        Training.run(SettingsSchema.of(RunSettings.class).bind(settings), List.of());
        long before = LivePointers.settled(); // what is made once a process is there
        Training.run(run, List.of(event -> {
            if (event instanceof RunEvent.Saved) {
                writing.set(false);
            }
            if (event instanceof RunEvent.StepDone step) {
                long now = LivePointers.count();
                // the thread that writes a checkpoint has pointers of its own, for as long as it writes
                live.add(writing.get() ? live.getLast() : now);
                writing.compareAndSet(false, step.step() % (steps / 4) == 0);
                if (step.step() == steps / 4 || step.step() == steps) {
                    System.gc();
                    heap.add(ManagementFactory.getMemoryMXBean()
                            .getHeapMemoryUsage()
                            .getUsed());
                }
            }
        }));
        assertEquals(steps, live.size());
        // an epoch is 3 steps: by the fourth, every buffer has met its longest micro-batch
        assertEquals(1, new TreeSet<>(live.subList(3, steps)).size(), () -> "live pointers a step: " + live);
        long grown = heap.get(1) - heap.get(0);
        assertTrue(grown < 1 << 20, () -> "the heap grew by " + grown + " bytes in " + steps * 3 / 4 + " steps");
        assertEquals(before, LivePointers.count(), "live pointers after the run");
    }
}
