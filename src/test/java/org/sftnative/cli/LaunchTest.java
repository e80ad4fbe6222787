package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.dist.Place;
import org.sftnative.support.InMemory;

/// Ranks as processes of their own: `launch`, what they say together, and what becomes of all when one
/// is lost.
class LaunchTest {
    /// From the loss of a rank to the end of all.
    private static final Duration SOON = Duration.ofSeconds(5);

    private static final Duration PATIENCE = Duration.ofMinutes(5);

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path out;
    private Process launcher;
    private List<ProcessHandle> ranks = List.of();

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 20);
        out = dir.resolve("out");
    }

    @AfterEach
    void end() {
        ranks.forEach(ProcessHandle::destroyForcibly);
        if (launcher != null) {
            launcher.destroyForcibly();
        }
    }

    @Test
    void twoRanksSayWhatOneProcessSaysAndTrainTheSameModel() throws Exception {
        String[] settings = {"--num-train-epochs", "1", "--gradient-accumulation-steps", "2"};
        Outcome outcome = Program.process(Map.of("LC_ALL", "C.UTF-8"), List.of(), launched(2, settings));
        assertEquals("", outcome.err());
        assertEquals(0, outcome.status());
        assertEquals(1, outcome.out().split("the model is in", -1).length - 1, outcome.out());
        assertTrue(outcome.out().contains("4 x 2 x 2 ranks"), outcome.out());
        assertTrue(outcome.out().contains("2 (gloo"), outcome.out());
        assertFalse(outcome.out().contains("[Gloo]"), outcome.out());
        Path one = dir.resolve("one");
        Program.train(one, rows, "--num-train-epochs", "1", "--logging-steps", "1")
                .succeeded();
        List<Double> losses = Program.values(one, "loss");
        List<Double> others = Program.values(out, "loss");
        assertEquals(losses.size(), others.size());
        for (int i = 0; i < losses.size(); i++) {
            assertEquals(losses.get(i), others.get(i), 1e-5);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "zero3"}) // which fetches weights all the time
    void aKilledRankEndsAllSoonAndTheRunGoesOn(String sharding) throws Exception {
        lost("KILL", "rank 1: its process ended without a word", "--sharding", sharding);
        int saved = checkpoints().getLast();
        Outcome outcome = Program.process(
                Map.of(),
                List.of(),
                launched(
                        3,
                        "--max-steps",
                        "" + (saved + 2),
                        "--save-steps",
                        "1",
                        "--resume",
                        "--allow-changed",
                        "--sharding",
                        sharding));
        assertEquals(0, outcome.status(), outcome.err());
    }

    @Test
    void aStoppedRankEndsAllSoon() throws Exception {
        lost("STOP", "rank 1: no sign of life for 3 s");
    }

    @Test
    @Tag("slow")
    void aKilledOrStoppedRankZeroEndsAllSoon() throws Exception {
        for (String signal : List.of("KILL", "STOP")) {
            out = dir.resolve("out-" + signal);
            start(3, "--max-steps", "100000", "--save-strategy", "no");
            signal(0, signal);
            assertAllEnd();
            assertTrue(said().contains("error: rank 0: "), said());
        }
    }

    private void lost(String signal, String why, String... settings) throws Exception {
        start(
                3,
                Stream.concat(Stream.of("--max-steps", "100000", "--save-steps", "2"), Stream.of(settings))
                        .toArray(String[]::new));
        for (int i = 0; checkpoints().isEmpty() && i < PATIENCE.toMillis() / 50; i++) {
            Thread.sleep(50);
        }
        signal(1, signal);
        assertAllEnd();
        assertEquals(1, launcher.exitValue());
        assertEquals(1, said().split("error: ", -1).length - 1, said()); // rank 0's
        assertTrue(said().contains("error: " + why), said());
    }

    private void assertAllEnd() throws Exception {
        long began = System.nanoTime();
        for (ProcessHandle rank : ranks) {
            rank.onExit().get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
        long took = System.nanoTime() - began;
        assertTrue(took < SOON.toNanos(), "all ended after " + took / 1e9 + " s");
        assertTrue(launcher.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS));
        ranks.forEach(rank -> assertFalse(rank.isAlive(), "an orphan"));
    }

    @Test
    void aSignalToOneRankSavesTheSameStepOnAllAndTheRunGoesOnBitForBit() throws Exception {
        String[] settings = {"--max-steps", "60", "--save-strategy", "no"};
        Path whole = dir.resolve("whole");
        Path kept = out;
        out = whole;
        assertEquals(
                0, Program.process(Map.of(), List.of(), launched(2, settings)).status());
        out = kept;
        start(2, settings);
        signal(1, "TERM");
        assertTrue(launcher.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS));
        assertEquals("", said());
        int step = checkpoints().getLast();
        assertTrue(step > 0 && step < 60, "stopped at " + step);
        assertFalse(Files.exists(out.resolve("model.safetensors")));
        String[] again =
                Stream.concat(Arrays.stream(settings), Stream.of("--resume")).toArray(String[]::new);
        assertEquals(0, Program.process(Map.of(), List.of(), launched(2, again)).status());
        assertArrayEquals(
                Files.readAllBytes(whole.resolve("model.safetensors")),
                Files.readAllBytes(out.resolve("model.safetensors")));
    }

    @Test
    void theSignalOfTheLauncherReachesAllAndRanksDieWithTheirLauncher() throws Exception {
        start(2, "--max-steps", "100000", "--save-strategy", "no");
        launcher.destroy();
        assertTrue(launcher.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS));
        assertEquals(143, launcher.exitValue(), said());
        assertEquals(1, checkpoints().size());
        out = dir.resolve("orphans");
        start(2, "--max-steps", "100000", "--save-strategy", "no");
        launcher.destroyForcibly();
        for (ProcessHandle rank : ranks) {
            rank.onExit().get(SOON.toSeconds(), TimeUnit.SECONDS);
        }
    }

    /// Each rank reads what lies in its own folder, under the same paths.
    @Test
    void ranksWithOtherRowsOrWeightsThanRankZeroAreRefusedBeforeAnythingIsWritten() throws Exception {
        for (String other : List.of("training rows", "model")) {
            int port = Place.freePort();
            List<Process> both = new ArrayList<>();
            for (int rank = 0; rank < 2; rank++) {
                Path folder = Files.createDirectories(dir.resolve(other + rank));
                Program.copy(Program.BASE, folder.resolve("model"));
                Files.copy(rows, folder.resolve("rows.jsonl"));
                ProcessBuilder builder = new ProcessBuilder(
                                Program.command(Program.training("model", Path.of("out"), Path.of("rows.jsonl"))
                                        .toArray(String[]::new)))
                        .directory(folder.toFile())
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .redirectError(folder.resolve("err.txt").toFile());
                builder.environment()
                        .putAll(Map.of(
                                "RANK",
                                "" + rank,
                                "WORLD_SIZE",
                                "2",
                                "LOCAL_RANK",
                                "" + rank,
                                "LOCAL_WORLD_SIZE",
                                "2",
                                "MASTER_ADDR",
                                "127.0.0.1",
                                "MASTER_PORT",
                                "" + port));
                if (rank == 1 && other.equals("model")) {
                    trainedFurther(folder.resolve("model/model.safetensors"));
                } else if (rank == 1) {
                    Files.copy(
                            Program.rows(dir, 20, 40),
                            folder.resolve("rows.jsonl"),
                            StandardCopyOption.REPLACE_EXISTING);
                }
                both.add(builder.start());
            }
            for (Process rank : both) {
                assertTrue(rank.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS));
                assertTrue(rank.exitValue() != 0);
            }
            String said = Files.readString(dir.resolve(other + "0/err.txt"));
            assertTrue(said.startsWith("error: rank 1"), said);
            assertTrue(said.contains("has other files than rank 0\n  " + other + ": "), said);
            assertFalse(said.contains(other.equals("model") ? "training rows" : "model:"), said);
            assertFalse(Files.exists(dir.resolve(other + "0/out")));
        }
    }

    private static void trainedFurther(Path weights) throws IOException {
        byte[] bytes = Files.readAllBytes(weights);
        for (int i = bytes.length / 2 / 4 * 4; i < bytes.length; i += 4) {
            bytes[i] ^= 1;
        }
        Files.write(weights, bytes);
    }

    @Test
    void commBenchPrintsEachExchangeBySize() throws Exception {
        String bench = "launch --nproc-per-node 2 -- comm-bench --device cpu --max-bytes 32768 --repeats 2";
        Outcome outcome = Program.process(Map.of("LC_ALL", "C.UTF-8"), List.of(), bench.split(" "));
        assertEquals("", outcome.err());
        assertTrue(outcome.out().startsWith("2 ranks: 2 (gloo, "), outcome.out());
        String[] lines = outcome.out().split("\n");
        assertEquals(2 + 2 * 3, lines.length, outcome.out()); // 4 and 32 KiB
        for (int i = 2; i < lines.length; i++) {
            String name = List.of("all-reduce", "reduce-scatter", "all-gather").get((i - 2) % 3);
            assertTrue(lines[i].matches(" *(4096|32768) +[0-9.]+ +[0-9.]+  " + name), lines[i]);
        }
    }

    @Test
    void launchIsToldWhatToLaunch() {
        Outcome outcome = Program.run("launch", "--nproc-per-node", "2");
        assertEquals(2, outcome.status());
        assertTrue(outcome.err().startsWith("error: launch needs the command of its ranks after --"), outcome.err());
        outcome = Program.run("launch", "--nnodes", "2", "--", "train");
        assertTrue(outcome.err().startsWith("error: setting 'rdzv_endpoint' (default) is absent"), outcome.err());
    }

    /// Starts a run and waits for its first step.
    private void start(int size, String... settings) throws Exception {
        Path err = dir.resolve("err-" + out.getFileName());
        ProcessBuilder builder = new ProcessBuilder(Program.command(launched(size, settings)));
        builder.environment().put("LC_ALL", "C.UTF-8");
        launcher = builder.redirectOutput(dir.resolve("out.txt").toFile())
                .redirectError(err.toFile())
                .start();
        Path metrics = out.resolve("metrics.jsonl");
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (!Files.exists(metrics) || Files.size(metrics) == 0) {
            assertTrue(System.nanoTime() < until && launcher.isAlive(), () -> "it does not start: " + said());
            Thread.sleep(50);
        }
        ranks = launcher.toHandle().children().toList();
        assertEquals(size, ranks.size());
    }

    private void signal(int rank, String signal) throws Exception {
        for (ProcessHandle process : ranks) {
            String environment =
                    Files.readString(Path.of("/proc", "" + process.pid(), "environ"), StandardCharsets.ISO_8859_1);
            if (Arrays.asList(environment.split("\0")).contains("RANK=" + rank)) {
                assertEquals(
                        0,
                        new ProcessBuilder("kill", "-" + signal, "" + process.pid())
                                .start()
                                .waitFor());
                return;
            }
        }
        throw new AssertionError("no rank " + rank);
    }

    private String said() {
        try {
            return Files.readString(dir.resolve("err-" + out.getFileName()));
        } catch (IOException e) {
            return e.toString();
        }
    }

    private List<Integer> checkpoints() throws IOException {
        try (Stream<Path> files = Files.list(out)) {
            return files.map(path -> path.getFileName().toString())
                    .filter(name -> name.matches("checkpoint-\\d+"))
                    .map(name -> Integer.parseInt(name.substring(11)))
                    .sorted()
                    .toList();
        }
    }

    private String[] launched(int size, String... settings) {
        List<String> args = new ArrayList<>(List.of("launch", "--nproc-per-node", "" + size, "--"));
        args.addAll(Program.training(Program.BASE.toString(), out, rows));
        args.addAll(List.of("--per-device-train-batch-size", "4", "--logging-steps", "1"));
        args.addAll(Arrays.asList(settings));
        return args.toArray(String[]::new);
    }
}
