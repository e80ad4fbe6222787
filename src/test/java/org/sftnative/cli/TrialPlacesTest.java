package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.TuneSettings;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.support.InMemory;
import org.sftnative.tune.study.Study;

/// How many trials run at a time, on machines that are made up.
class TrialPlacesTest {
    private static final long GIB = 1L << 30;

    @TempDir(factory = InMemory.class)
    Path dir;

    private int studies;

    private static TrialPlaces.Machine machine(int cores, long bytes, String... gpus) {
        return new TrialPlaces.Machine(cores, bytes, List.of(gpus));
    }

    private TrialPlaces places(TrialPlaces.Machine machine, String space, Map<String, String> more, String... run) {
        Map<String, String> given = new HashMap<>(
                Map.of("output_dir", dir.resolve("study-" + studies++).toString(), "resume", "true"));
        given.putAll(more);
        TuneSettings settings = SettingsSchema.of(TuneSettings.class).bind(given);
        List<SettingValue> shared = new ArrayList<>();
        for (String setting : run) {
            String[] words = setting.split("=");
            shared.add(new SettingValue(words[0], List.of(words[1]), "run.yaml"));
        }
        for (String name : List.of("train_file", "eval_file")) {
            shared.add(new SettingValue(name, List.of("rows"), "run.yaml"));
        }
        try (Study study = Study.begin(settings, Optional.of(shared), Optional.of(space), Set.of())) {
            return TrialPlaces.of(settings, study, machine, UnaryOperator.identity());
        }
    }

    private TrialPlaces auto(TrialPlaces.Machine machine, String space, Map<String, String> more, String... run) {
        Map<String, String> settings = new HashMap<>(more);
        settings.put("resources", "auto");
        return places(machine, space, settings, run);
    }

    private static final String BASE = "model_name_or_path=" + Program.BASE;
    private static final String RATE = "learning_rate: uniform(1e-5, 1e-3)\n";

    /// What a trial of the small model takes: the plan of `info`, the copy that a checkpoint is written from, and what
    /// the JVM and libtorch take.
    private static long planned(int tokens, boolean saves) {
        try (ModelDirectory directory = ModelDirectory.open(Program.BASE)) {
            MemoryEstimate plan = MemoryEstimate.of(LlamaConfig.of(directory.config()), tokens)
                    .getFirst();
            assertEquals("fp32", plan.mode());
            return plan.fixed() + plan.kept() + (saves ? plan.weights() + plan.optimizer() : 0) + (700L << 20);
        }
    }

    @Test
    void autoPacksByTheMemoryPlan() {
        long each = planned(1024, true);
        for (int fit : new int[] {1, 2, 3, 7}) {
            long bytes = (long) Math.ceil(fit * each / 0.9) + 1024;
            assertEquals(
                    fit, auto(machine(64, bytes), RATE, Map.of(), BASE).slots().size());
            int fewer = auto(machine(64, bytes - (64 << 10)), RATE, Map.of(), BASE)
                    .slots()
                    .size();
            assertEquals(Math.max(1, fit - 1), fewer, "the last one has no room, but one is always tried");
        }
        // what a trial takes is of its own settings
        long bytes = 64 * GIB;
        assertEquals(
                bytes * 9 / 10 / planned(16_384, true),
                auto(machine(999, bytes), RATE, Map.of(), BASE, "micro_batch_tokens=16384")
                        .slots()
                        .size());
        assertEquals(
                bytes * 9 / 10 / planned(1024, false),
                auto(machine(999, bytes), RATE, Map.of(), BASE, "save_strategy=no")
                        .slots()
                        .size());
        String varied = "micro_batch_tokens: choice([1024, 65536])\n";
        assertEquals(
                bytes * 9 / 10 / planned(65_536, true),
                auto(machine(999, bytes), varied, Map.of(), BASE).slots().size(),
                "the largest of what the space may choose");
        assertEquals(
                bytes * 9 / 10 / planned(1024, true),
                auto(machine(999, bytes), "model_name_or_path: choice([" + Program.BASE + "])\n", Map.of())
                        .slots()
                        .size(),
                "a model that the space chooses");
    }

    @Test
    void autoPacksByCoresToo() {
        TrialPlaces four = auto(machine(4, 64 * GIB), RATE, Map.of(), BASE);
        assertEquals(4, four.slots().size());
        assertEquals(1, four.threads());
        TrialPlaces two = auto(machine(4, 64 * GIB), RATE, Map.of("cpus_per_trial", "2"), BASE);
        assertEquals(2, two.slots().size());
        assertEquals(2, two.threads());
        assertTrue(two.why().startsWith("2 trials at a time, 2 threads each ("), two.why());
        assertTrue(two.why().contains(" a trial, 64.0 GiB available, 4 cores)"), two.why());
        assertEquals(
                3,
                auto(machine(8, 64 * GIB), RATE, Map.of("concurrent", "3"), BASE)
                        .slots()
                        .size());
        assertEquals(
                1,
                auto(machine(2, 64 * GIB), RATE, Map.of("cpus_per_trial", "5"), BASE)
                        .slots()
                        .size());
    }

    @Test
    void autoGivesEachTrialGpusOfItsOwnUnlessItTrainsOnTheCpu() {
        TrialPlaces.Machine cards = machine(8, 64 * GIB, "0", "1", "2", "3");
        assertEquals(4, auto(cards, RATE, Map.of(), BASE).slots().size());
        assertEquals(2, auto(cards, RATE, Map.of(), BASE).threads());
        assertEquals(
                2,
                auto(cards, RATE, Map.of("gpus_per_trial", "2"), BASE).slots().size());
        assertEquals(8, auto(cards, RATE, Map.of(), BASE, "device=cpu").slots().size());
    }

    @Test
    void asToldOneAtATimeOrAsManyAsTheGpusHold() {
        TrialPlaces.Machine cards = machine(8, GIB, "0", "1", "2", "3");
        assertEquals(1, places(cards, RATE, Map.of(), BASE).slots().size());
        assertEquals(8, places(cards, RATE, Map.of(), BASE).threads());
        assertEquals(
                3, places(cards, RATE, Map.of("concurrent", "3"), BASE).slots().size());
        assertEquals(2, places(cards, RATE, Map.of("concurrent", "3"), BASE).threads(), "cores, shared by all trials");
        assertEquals(
                4,
                places(cards, RATE, Map.of("gpus_per_trial", "1"), BASE).slots().size());
        assertEquals(
                8,
                places(cards, RATE, Map.of("gpus_per_trial", "0.5"), BASE)
                        .slots()
                        .size());
        assertEquals(
                2,
                places(cards, RATE, Map.of("gpus_per_trial", "0.5", "concurrent", "2"), BASE)
                        .slots()
                        .size());
        assertEquals(
                1,
                places(cards, RATE, Map.of("gpus_per_trial", "3"), BASE).slots().size());
        String none = assertThrows(
                        InputException.class, () -> places(machine(8, GIB), RATE, Map.of("gpus_per_trial", "1"), BASE))
                .getMessage();
        assertTrue(none.startsWith("a trial needs 1.0 GPUs, this machine has 0\n"), none);
    }

    @Test
    void threadsThatTheSettingsNameStayTheirs() {
        assertEquals(
                0, places(machine(8, GIB), RATE, Map.of(), BASE, "threads=3").threads());
        assertEquals(
                0,
                places(machine(8, GIB), "threads: choice([1, 2])\n", Map.of(), BASE)
                        .threads());
        assertEquals(
                5,
                places(machine(8, GIB), RATE, Map.of("cpus_per_trial", "5"), BASE, "threads=3")
                        .threads());
    }

    @Test
    void visibleDevicesAreReadAsCudaDoes() {
        assertEquals(List.of("2", "GPU-8f"), TrialPlaces.visible(Optional.of("2, GPU-8f")));
        assertEquals(List.of(), TrialPlaces.visible(Optional.of("")));
        assertEquals(List.of("1"), TrialPlaces.visible(Optional.of("1,-1,0")));
    }
}
