package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.support.InMemory;

class SlotsTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    private static List<String> places(Slots slots) {
        return IntStream.range(0, slots.size())
                .mapToObj(_ -> slots.take().orElseThrow())
                .toList();
    }

    @Test
    void gpusAreSharedOutWholeOrInParts() {
        List<String> four = List.of("0", "1", "2", "3");
        assertEquals(four, places(Slots.of(100, four, 1)));
        assertEquals(List.of("0,1", "2,3"), places(Slots.of(100, four, 2)));
        assertEquals(List.of("0,1,2"), places(Slots.of(100, four, 3)));
        assertEquals(List.of("5", "7", "5", "7", "5", "7"), places(Slots.of(100, List.of("5", "7"), 0.33)));
        assertEquals(List.of("5", "7", "5"), places(Slots.of(3, List.of("5", "7"), 0.5)), "the second cards first");
        assertEquals(List.of("", ""), places(Slots.of(2, four, 0)));
    }

    /// Trials whose process writes down what it sees of the machine.
    @Test
    void trialProcessesSeeTheGpusOfTheirPlaceAndTheirThreads() throws Exception {
        Path out = dir.resolve("out");
        Map<String, String> more = Map.of("num_samples", "6", "scheduler", "none");
        TrialProcess.Launcher launcher = settings -> {
            List<String> command = new ArrayList<>(List.of(
                    "sh",
                    "-c",
                    // while it runs the place is taken
                    "f=$0/gpu-$CUDA_VISIBLE_DEVICES; mkdir $f || exit 9; echo $CUDA_VISIBLE_DEVICES >> $0/seen;"
                            + " sleep 0.3; rmdir $f; exec \"$@\"",
                    dir.toString()));
            command.addAll(FakeTrials.command(settings));
            return command;
        };
        try (Study study = FakeTrials.begin(out, FakeTrials.SPACE, more)) {
            Slots slots = Slots.of(2, List.of("4", "GPU-17", "6"), 1);
            assertTrue(study.work(
                    FakeTrials.settings(out, more),
                    new Study.Place(slots, 3, launcher),
                    new FakeTrials.Said(),
                    _ -> {}));
            assertEquals(6, study.results().rows().size());
            assertEquals(
                    0,
                    study.results().rows().stream().mapToInt(TrialRow::crashes).sum(),
                    "two trials on one GPU");
        }
        List<String> seen = Files.readAllLines(dir.resolve("seen"));
        assertEquals(6, seen.size());
        assertEquals(List.of("4", "GPU-17"), seen.stream().distinct().sorted().toList());
        for (int trial = 0; trial < 6; trial++) {
            String settings = Files.readString(out.resolve(TrialRow.name(trial)).resolve("settings.yaml"));
            assertTrue(settings.contains("\nthreads: 3  # tune\n"), settings);
        }
    }
}
