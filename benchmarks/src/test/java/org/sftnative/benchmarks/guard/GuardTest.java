package org.sftnative.benchmarks.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SortedMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The guard's judgement, on results as JMH writes them.
class GuardTest {
    private static final Place H100 = new Place("NVIDIA H100 80GB HBM3", "25.0.1", "2.10.0-1.5.13");

    @TempDir
    Path folder;

    @Test
    void fivePercentSlowerIsRegressed() throws IOException {
        Comparison c = compared(1.05, 0.01);
        assertEquals(1, c.status());
        assertEquals(
                Verdict.Kind.REGRESSED,
                c.verdicts().get("TrainStep.run[engine=fused]").kind());
        assertTrue(c.toString().startsWith("REGRESSED       TrainStep.run[engine=fused] time x 1.04"), c.toString());
    }

    @Test
    void fivePercentFasterIsImproved() throws IOException {
        Comparison c = compared(0.95, 0.01);
        assertEquals(0, c.status());
        assertEquals(
                Verdict.Kind.IMPROVED,
                c.verdicts().get("TrainStep.run[engine=fused]").kind());
    }

    /// Of 2,000 comparisons of a build with itself, on a machine whose forks differ by 2%, few may cry wolf.
    @Test
    void noiseIsNoChange() {
        SplittableRandom random = new SplittableRandom(3);
        int slower = 0;
        int faster = 0;
        int caught = 0;
        for (int i = 0; i < 2000; i++) {
            Verdict.Kind itself = Verdict.of(forks(random, 1, 0.02, 6), forks(random, 1, 0.02, 6))
                    .kind();
            slower += itself == Verdict.Kind.REGRESSED ? 1 : 0;
            faster += itself == Verdict.Kind.IMPROVED ? 1 : 0;
            caught += Verdict.of(forks(random, 1, 0.01, 6), forks(random, 1.05, 0.01, 6))
                                    .kind()
                            == Verdict.Kind.REGRESSED
                    ? 1
                    : 0;
        }
        assertTrue(slower <= 20, slower + " of 2,000"); // 0.5% each side, and only beyond 1.5%
        assertTrue(faster <= 20, faster + " of 2,000");
        assertTrue(caught >= 1900, caught + " of 2,000");
    }

    /// The machine warms up: every fork is slower than the one before.
    @Test
    void aDriftOfTheMachineIsNoChange() {
        List<Double> base = new ArrayList<>();
        List<Double> candidate = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            (i % 2 == 0 ? base : candidate).add(1 + 0.02 * (2 * i));
            (i % 2 == 0 ? candidate : base).add(1 + 0.02 * (2 * i + 1));
        }
        assertEquals(Verdict.Kind.NO_CLEAR_CHANGE, Verdict.of(base, candidate).kind());
    }

    @Test
    void aRestlessMachineProvesNothing() {
        List<Double> base = List.of(1.0, 1.9, 0.8, 1.4, 1.0, 2.0);
        List<Double> candidate = List.of(1.5, 0.9, 1.6, 0.9, 2.1, 1.0);
        Verdict v = Verdict.of(base, candidate);
        assertEquals(Verdict.Kind.INVALID, v.kind());
        assertTrue(v.reason().contains("not quiet"), v.reason());
    }

    @Test
    void threePairsAreTooFew() {
        assertEquals(
                Verdict.Kind.INVALID,
                Verdict.of(List.of(1.0, 1.0, 1.0), List.of(2.0, 2.0, 2.0)).kind());
        assertEquals(
                Verdict.Kind.INVALID,
                Verdict.of(List.of(1.0, 1.0, 1.0, 1.0), List.of(2.0, 2.0, 2.0)).kind());
    }

    @Test
    void rowThatVanishedIsInvalid() throws IOException {
        Path base =
                file("base", row("TrainStep.run", "thrpt", "ops/s", 10, 10), row("Load.load", "avgt", "ms/op", 3, 3));
        Path candidate = file("candidate", row("TrainStep.run", "thrpt", "ops/s", 10, 10));
        Comparison c = Comparison.of(Results.read(List.of(base)), Results.read(List.of(candidate)));
        assertEquals(2, c.status());
        assertTrue(c.toString().contains("only the base has it"), c.toString());

        Comparison reverse = Comparison.of(Results.read(List.of(candidate)), Results.read(List.of(base)));
        assertEquals(2, reverse.status());
        assertTrue(reverse.toString().contains("only the candidate has it"), reverse.toString());
    }

    @Test
    void nothingToJudgeProvesNothing() {
        assertEquals(2, Comparison.of(new TreeMap<>(), new TreeMap<>()).status());
    }

    /// Ten pairs of forks of one build, iterations in turns, on two cores that other programs used by half.
    @Test
    void recordedForksOfOneBuildAreNoChange() {
        Comparison same = Comparison.of(recorded("same-host", "base"), recorded("same-host", "candidate"));
        assertEquals(
                Verdict.Kind.NO_CLEAR_CHANGE,
                same.verdicts().get("HostOverhead.step").kind());
        assertEquals(0, same.status());
    }

    /// Six pairs of forks, the candidate with the host's planted fault, on a virtual machine with neighbours.
    @Test
    void aRecordedFaultOfTheHostIsRegressed() {
        Comparison planted = Comparison.of(recorded("planted-host", "base"), recorded("planted-host", "candidate"));
        assertEquals(
                Verdict.Kind.REGRESSED,
                planted.verdicts().get("HostOverhead.step").kind());
        assertEquals(1, planted.status());
        Comparison mended = Comparison.of(recorded("planted-host", "candidate"), recorded("planted-host", "base"));
        assertEquals(
                Verdict.Kind.IMPROVED,
                mended.verdicts().get("HostOverhead.step").kind());
    }

    private static SortedMap<String, Row> recorded(String comparison, String side) {
        return Results.read(List.of(Path.of("recorded", comparison, side + "-01.json")));
    }

    /// By the iteration that a tenth of them beat: what disturbs a machine only adds.
    @Test
    void threadTimeIsWhatARowIsJudgedBy() throws IOException {
        Path file = Files.writeString(folder.resolve("thread.json"), """
                [{"benchmark": "org.sftnative.benchmarks.HostOverhead.step", "mode": "avgt",
                  "primaryMetric": {"scoreUnit": "us/op", "rawData": [[4000, 5000]]},
                  "secondaryMetrics": {"threadSeconds": {"score": 1, "scoreUnit": "s/op",
                                                         "rawData": [[9, 8, 3, 7, 2, 6, 9, 9, 8, 7]]}}}]""");
        assertEquals(
                List.of(3.0),
                Results.read(List.of(file)).get("HostOverhead.step").seconds());
    }

    @Test
    void morePeakMemoryIsRegressedHoweverFast() throws IOException {
        TreeMap<String, Row> base = new TreeMap<>();
        TreeMap<String, Row> candidate = new TreeMap<>();
        List<Double> forks = List.of(1.0, 1.01, 1.0, 0.99);
        base.put("a", new Row("a", forks, new TreeMap<>(java.util.Map.of("allocatedPeakBytes", 1e9))));
        candidate.put("a", new Row("a", forks, new TreeMap<>(java.util.Map.of("allocatedPeakBytes", 1e9 + 512))));
        assertEquals(1, Comparison.of(base, candidate).status());
        assertEquals(0, Comparison.of(candidate, base).status());
    }

    /// Of several files the largest, whichever comes last; and one that no longer says it has not improved.
    @Test
    void thePeakIsThatOfAllForksAndMustBeThere() throws IOException {
        List<Path> files = new ArrayList<>();
        for (int peak : List.of(100, 300, 200, 100)) {
            files.add(file("peak-" + files.size(), """
                    {"benchmark": "A.a", "mode": "avgt", "primaryMetric": {"scoreUnit": "s/op", "rawData": [[1]]},
                     "secondaryMetrics": {"allocatedPeakBytes": {"score": %d}}}""".formatted(peak)));
        }
        SortedMap<String, Row> base = Results.read(files);
        assertEquals(300.0, base.get("A.a").secondary().get("allocatedPeakBytes"));
        SortedMap<String, Row> silent = new TreeMap<>();
        silent.put("A.a", new Row("A.a", base.get("A.a").seconds(), new TreeMap<>()));
        assertEquals(2, Comparison.of(base, silent).status());
        assertEquals(2, Comparison.of(silent, base).status());
    }

    @Test
    void resultsThatAreCutShortAreRefused() throws IOException {
        Path whole = file("whole", row("TrainStep.run", "thrpt", "ops/s", 10, 10));
        String text = Files.readString(whole);
        Path cut = Files.writeString(folder.resolve("cut.json"), text.substring(0, text.length() / 2));
        Path empty = Files.writeString(folder.resolve("empty.json"), "[]");
        Path nan = file("nan", row("TrainStep.run", "thrpt", "ops/s", Double.NaN, 10));
        Path nanOfThread = file("thread-nan", """
                {"benchmark": "A.a", "mode": "avgt", "primaryMetric": {"scoreUnit": "s/op", "rawData": [[1, 1]]},
                 "secondaryMetrics": {"threadSeconds": {"scoreUnit": "s/op", "rawData": [[1, "NaN"]]}}}""");
        for (Path bad : List.of(cut, empty, nan, nanOfThread, folder.resolve("missing.json"))) {
            assertThrows(BadResults.class, () -> Results.read(List.of(bad)), bad.toString());
        }
    }

    @Test
    void forksWithOtherRowsAreRefused() throws IOException {
        Path first = file("first", row("A.a", "thrpt", "ops/s", 10));
        Path second = file("second", row("B.b", "thrpt", "ops/s", 10));
        assertThrows(BadResults.class, () -> Results.read(List.of(first, second)));
    }

    @Test
    void throughputAndTimeAreBothSeconds() throws IOException {
        Path file = file("units", row("A.a", "thrpt", "ops/s", 4), row("B.b", "avgt", "us/op", 250));
        assertEquals(
                0.25,
                Results.read(List.of(file)).get("A.a[engine=fused]").seconds().getFirst(),
                1e-12);
        assertEquals(
                250e-6,
                Results.read(List.of(file)).get("B.b[engine=fused]").seconds().getFirst(),
                1e-12);
    }

    @Test
    void baselineOfAnotherPlaceIsRefusedWithBothNamed() throws IOException {
        TreeMap<String, Row> rows = new TreeMap<>();
        rows.put("a", new Row("a", List.of(1.0, 1.0, 1.0, 1.0), new TreeMap<>()));
        Path file = Baseline.append(folder, H100, "abc", "1980", rows);
        assertEquals(
                "nvidia-h100-80gb-hbm3-25.0.1-2.10.0-1.5.13.jsonl",
                file.getFileName().toString());
        assertEquals(rows, Baseline.read(file, H100));
        for (Place other : List.of(
                new Place("NVIDIA H200", H100.jdk(), H100.libtorch()),
                new Place(H100.card(), "25.0.2", H100.libtorch()),
                new Place(H100.card(), H100.jdk(), "2.11.0"))) {
            BadResults e = assertThrows(BadResults.class, () -> Baseline.read(file, other));
            assertTrue(e.getMessage().contains(H100.differences(other)), e.getMessage());
            assertTrue(e.getMessage().contains(" against "), e.getMessage());
        }
        Files.writeString(file, Files.readString(file) + "{\"row\": \"a\", \"se");
        assertThrows(BadResults.class, () -> Baseline.read(file, H100));
    }

    @Test
    void anyOtherCountIsADifference() {
        TreeMap<String, Long> accepted =
                new TreeMap<>(java.util.Map.of("live_pointers", 0L, "operators", 100L, "gone", 1L));
        TreeMap<String, Long> counted =
                new TreeMap<>(java.util.Map.of("live_pointers", 1L, "operators", 99L, "new", 1L));
        assertEquals(
                List.of(
                        "gone: not counted, was 1",
                        "live_pointers: 1, was 0",
                        "new: 1, not in the file",
                        "operators: 99, was 100"),
                CountsFile.differences(accepted, counted));
        assertEquals(List.of(), CountsFile.differences(accepted, accepted));
    }

    /// With another JDK, too, whose heap bytes are its own.
    @Test
    void onePointerMoreIsARegression() {
        for (long jdk : new long[] {25_000_309, 25_000_210}) {
            assertEquals(0, Guard.judge(counts(25_000_309, 7000, 0), counts(jdk, jdk == 25_000_309 ? 7000 : 9000, 0)));
            assertEquals(1, Guard.judge(counts(25_000_309, 7000, 0), counts(jdk, 7000, 1)));
        }
        assertEquals(1, Guard.judge(counts(25_000_309, 7000, 0), counts(25_000_309, 9000, 0)));
        assertEquals(1, Guard.judge(counts(25_000_309, 7000, 1), counts(25_000_309, 7000, 0)));
    }

    private static TreeMap<String, Long> counts(long jdk, long heap, long pointers) {
        return new TreeMap<>(java.util.Map.of("jdk", jdk, "T/fused/heap_bytes", heap, "T/live_pointers", pointers));
    }

    @Test
    void aFileOfCountsThatIsBrokenIsRefused() throws IOException {
        for (String text :
                List.of("", "{", "[]", "{}", "{\"a\": 1.5}", "{\"a\": \"1\"}", "{\"a\": 99999999999999999999}")) {
            Path file = Files.writeString(folder.resolve("counts.json"), text);
            assertThrows(BadResults.class, () -> CountsFile.read(file), text);
        }
        assertThrows(BadResults.class, () -> CountsFile.read(folder.resolve("none.json")));
    }

    /// A machine's name is longer than another's; an array of 8 numbers a step is not.
    @Test
    void heapBytesMayDifferByAFewAndOthersByNone() {
        TreeMap<String, Long> accepted =
                new TreeMap<>(java.util.Map.of("T/fused/heap_bytes", 355_962L, "T/fused/buffer_bytes", 100L));
        assertEquals(List.of(), CountsFile.differences(accepted, counted(355_960, 100)));
        assertEquals(List.of(), CountsFile.differences(accepted, counted(355_962 + 64, 100)));
        assertEquals(
                List.of("T/fused/heap_bytes: 356042, was 355962"),
                CountsFile.differences(accepted, counted(355_962 + 80, 100)));
        assertEquals(
                List.of("T/fused/buffer_bytes: 101, was 100"), CountsFile.differences(accepted, counted(355_962, 101)));
    }

    private static TreeMap<String, Long> counted(long heap, long buffer) {
        return new TreeMap<>(java.util.Map.of("T/fused/heap_bytes", heap, "T/fused/buffer_bytes", buffer));
    }

    private Comparison compared(double factor, double noise) throws IOException {
        SplittableRandom random = new SplittableRandom(1);
        List<Path> base = new ArrayList<>();
        List<Path> candidate = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            base.add(file(
                    "base-" + i,
                    row(
                            "TrainStep.run",
                            "thrpt",
                            "ops/s",
                            1 / forks(random, 1, noise, 1).getFirst())));
            candidate.add(file(
                    "candidate-" + i,
                    row(
                            "TrainStep.run",
                            "thrpt",
                            "ops/s",
                            1 / forks(random, factor, noise, 1).getFirst())));
        }
        return Comparison.of(Results.read(base), Results.read(candidate));
    }

    private static List<Double> forks(SplittableRandom random, double mean, double noise, int count) {
        List<Double> forks = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            forks.add(mean * Math.exp(noise * random.nextGaussian()));
        }
        return forks;
    }

    private static String row(String name, String mode, String unit, double... forks) {
        StringBuilder raw = new StringBuilder();
        for (double f : forks) {
            raw.append(raw.isEmpty() ? "" : ", ")
                    .append("[")
                    .append(Double.isNaN(f) ? "\"NaN\"" : f)
                    .append("]");
        }
        return String.format(Locale.ROOT, """
                {"benchmark": "org.sftnative.benchmarks.%s", "mode": "%s", "params": {"engine": "fused"},
                 "primaryMetric": {"score": 1, "scoreUnit": "%s", "rawData": [%s]}, "secondaryMetrics": {}}""", name, mode, unit, raw);
    }

    private Path file(String name, String... rows) throws IOException {
        return Files.writeString(folder.resolve(name + ".json"), "[" + String.join(",", rows) + "]");
    }
}
