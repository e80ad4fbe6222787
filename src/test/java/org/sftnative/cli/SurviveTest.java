package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.support.InMemory;

/// Runs that are killed, stopped and damaged, in processes of their own: whatever happens, the run that goes on ends
/// bit for bit as one to which nothing happened. 24 steps, a checkpoint every 2.
class SurviveTest {
    private static final int STEPS = 24;

    /// Far from what anything here takes (seconds): processes may be stopped and continued meanwhile.
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path out;

    @BeforeEach
    void rows() throws IOException {
        rows = Program.rows(dir, 0, 20);
        out = dir.resolve("out");
    }

    @Test
    void killedAtRandomMomentsARunEndsAsIfItHadNotBeen() throws Exception {
        killed(new Random(1), 3);
    }

    @Test
    @Tag("slow")
    void killedFiftyTimesARunEndsAsIfItHadNotBeen() throws Exception {
        killed(new Random(2), 50);
    }

    private void killed(Random random, int times) throws Exception {
        Path whole = dir.resolve("whole");
        Program.run(train(whole)).succeeded();
        long took = timed(dir.resolve("timed"));
        for (int i = 0; i < times; i++) {
            Process process = start("--resume-or-start");
            if (!process.waitFor(random.nextLong(took + 500), TimeUnit.MILLISECONDS)) {
                process.destroyForcibly().waitFor();
            } else {
                assertEquals(0, process.exitValue());
                delete(out);
            }
        }
        assertEquals(0, start("--resume-or-start").waitFor());
        assertArrayEquals(weights(whole), weights(out));
        assertEquals(Program.numbers(whole), Program.numbers(out));
        assertEquals(List.of(), hidden(out));
    }

    private long timed(Path other) throws Exception {
        long began = System.nanoTime();
        Program.process(java.util.Map.of(), List.of(), train(other)).succeeded();
        return (System.nanoTime() - began) / 1_000_000;
    }

    @Test
    void aSignalFinishesTheStepSavesAndExitsWithItsNumberAndTheRunThenEndsAsIfThereHadBeenNone() throws Exception {
        String plain = "--save-strategy no --lr-scheduler-type constant_with_warmup --warmup-steps 2 --max-steps ";
        String[] settings = (plain + "10000").split(" ");
        for (String signal : List.of("TERM", "INT")) {
            out = dir.resolve("out-" + signal);
            Process process = start(settings);
            awaitStep();
            new ProcessBuilder("kill", "-" + signal, "" + process.pid()).start().waitFor();
            assertTrue(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS), "it goes on");
            assertEquals(signal.equals("TERM") ? 143 : 130, process.exitValue());
            assertEquals(1, checkpoints(out).size()); // no setting asked for one
            assertFalse(Files.exists(out.resolve("model.safetensors"))); // it is not done
            assertEquals(List.of(), hidden(out));
            // some steps more, and as many at once
            String name = checkpoints(out).getFirst().getFileName().toString();
            int steps = Integer.parseInt(name.substring(name.indexOf('-') + 1)) + 7;
            Path whole = dir.resolve("whole-" + signal);
            Program.run(train(whole, (plain + steps).split(" "))).succeeded();
            Program.run(train(out, (plain + steps + " --resume --allow-changed").split(" ")))
                    .succeeded();
            assertArrayEquals(weights(whole), weights(out));
            assertEquals(Program.numbers(whole), Program.numbers(out));
        }
    }

    /// Most of such a run's time is start-up, then evaluation, then saves; three moments of each.
    @Test
    @Tag("slow")
    void aSignalInStartUpInAnEvaluationAndInASaveLosesNothing() throws Exception {
        signalled(3);
    }

    @Test
    void aSignalInAnEvaluationOrASaveLosesNothing() throws Exception {
        signalled(1);
    }

    private void signalled(int times) throws Exception {
        Path held = Program.rows(dir, 20, 60);
        List<String[]> kinds = List.of(
                new String[] {"--max-steps", "6", "--eval-file", held.toString(), "--eval-steps", "1"},
                new String[] {"--max-steps", "30", "--save-steps", "1"});
        for (int kind = 0; kind < kinds.size(); kind++) {
            List<String> settings = new ArrayList<>(List.of(kinds.get(kind)));
            if (kind == 0) {
                settings.addAll(List.of("--eval-strategy", "steps"));
            }
            String[] plain = settings.toArray(String[]::new);
            Path whole = dir.resolve("whole-" + kind);
            Program.run(train(whole, plain)).succeeded();
            settings.add("--resume");
            for (int i = 0; i < times; i++) {
                out = dir.resolve("out-" + kind + "-" + i);
                Process process = start(plain);
                if (times > 1) {
                    Thread.sleep(200 + 400 * i); // in start-up: model and rows are being read
                } else {
                    awaitStep();
                }
                new ProcessBuilder("kill", "-TERM", "" + process.pid()).start().waitFor();
                assertTrue(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS), "it goes on");
                assertTrue(List.of(0, 143).contains(process.exitValue()), "status " + process.exitValue());
                settings.set(settings.size() - 1, checkpoints(out).isEmpty() ? "--overwrite-output-dir" : "--resume");
                Program.run(train(out, settings.toArray(String[]::new))).succeeded();
                assertArrayEquals(weights(whole), weights(out));
                assertEquals(Program.numbers(whole), Program.numbers(out));
                if (times > 1) { // and once in the middle of what the run mostly does
                    delete(out);
                    process = start(plain);
                    awaitStep();
                    Thread.sleep(30L * i);
                    new ProcessBuilder("kill", "-TERM", "" + process.pid())
                            .start()
                            .waitFor();
                    assertTrue(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS), "it goes on");
                    settings.set(
                            settings.size() - 1, checkpoints(out).isEmpty() ? "--overwrite-output-dir" : "--resume");
                    Program.run(train(out, settings.toArray(String[]::new))).succeeded();
                    assertArrayEquals(weights(whole), weights(out));
                    assertEquals(Program.numbers(whole), Program.numbers(out));
                }
            }
        }
    }

    @Test
    void theFilesSaveAndStopDoTheSameFromOutside() throws Exception {
        Process process = start("--num-train-epochs", "4000", "--max-steps", "-1", "--save-strategy", "no");
        awaitStep();
        assertEquals(List.of(), checkpoints(out));
        Files.createFile(out.resolve("save"));
        awaitCheckpoint();
        assertFalse(Files.exists(out.resolve("save")));
        assertTrue(process.isAlive());
        Files.createFile(out.resolve("stop"));
        assertTrue(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS), "it goes on");
        assertEquals(3, process.exitValue());
        assertFalse(Files.exists(out.resolve("stop")));
    }

    @Test
    void aSecondRunIsKeptOutAndADeadOnesLockIsNone() throws Exception {
        Process process = start("--num-train-epochs", "4000", "--max-steps", "-1");
        awaitStep();
        Outcome second = Program.run(train(out, "--overwrite-output-dir"));
        assertEquals(2, second.status());
        assertTrue(second.err().contains("in use by another run, process " + process.pid()), second.err());
        process.destroyForcibly().waitFor();
        assertTrue(Files.exists(out.resolve(".lock")));
        Program.run(train(out, "--overwrite-output-dir")).succeeded();
        assertEquals(List.of(), hidden(out));
    }

    @Test
    void damagedCheckpointsArePassedOverAndSaid() throws Exception {
        Path whole = dir.resolve("whole");
        Program.run(train(whole, "--save-total-limit", "0")).succeeded();
        List<Path> files;
        try (Stream<Path> all = Files.list(whole.resolve("checkpoint-" + STEPS))) {
            files = all.filter(Files::isRegularFile)
                    .map(Path::getFileName)
                    .sorted()
                    .toList();
        }
        assertTrue(files.contains(Path.of("MANIFEST.json")));
        for (Path name : files) {
            for (String how : List.of("gone", "empty", "short", "flipped")) {
                Path copy = Program.copy(whole, dir.resolve("copy"));
                Path file = copy.resolve("checkpoint-" + STEPS).resolve(name);
                byte[] bytes = Files.readAllBytes(file);
                switch (how) {
                    case "gone" -> Files.delete(file);
                    case "empty" -> Files.write(file, new byte[0]);
                    case "short" -> Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 10));
                    default -> {
                        bytes[bytes.length / 2] ^= 1;
                        Files.write(file, bytes);
                    }
                }
                String what = name + " " + how;
                Outcome resumed = Program.run(train(copy, "--resume", "--save-total-limit", "0"));
                assertEquals(0, resumed.status(), () -> what + "\n" + resumed.err());
                // trainer_state.json gone: the directory is no checkpoint at all
                boolean seen = !(how.equals("gone") && name.toString().equals("trainer_state.json"));
                String says = "warning: checkpoint-" + STEPS + " is damaged: ";
                assertEquals(seen, resumed.out().contains(says), () -> what + "\n" + resumed.out());
                assertTrue(resumed.out().contains("going on after step " + (STEPS - 2)), resumed.out());
                assertArrayEquals(weights(whole), weights(copy), what);
                delete(copy);
            }
        }
    }

    @Test
    void aNamedCheckpointThatIsDamagedIsRefused() throws Exception {
        Program.run(train(out)).succeeded();
        Path checkpoint = out.resolve("checkpoint-" + STEPS);
        Files.write(checkpoint.resolve("optimizer.safetensors"), new byte[3]);
        Outcome outcome = Program.run(train(out, "--resume", checkpoint.toString()));
        assertEquals(2, outcome.status());
        assertTrue(
                outcome.err().contains(checkpoint + " is damaged: optimizer.safetensors has 3 bytes"), outcome.err());
    }

    @Test
    void aCheckpointIsNeverOlderThanWasAskedFor() throws Exception {
        assertEquals(2, Program.run(train(out, "--save-on-time", "soon")).status());
        String[] settings = {"--max-steps", "20", "--save-strategy", "no", "--save-total-limit", "0"};
        Program.run(train(dir.resolve("never"), settings)).succeeded();
        assertEquals(List.of(), checkpoints(dir.resolve("never")));
        List<String> timed = new ArrayList<>(List.of(settings));
        timed.set(1, "400");
        timed.addAll(List.of("--save-on-time", "1s"));
        Program.run(train(out, timed.toArray(String[]::new))).succeeded();
        assertFalse(checkpoints(out).isEmpty());
    }

    @Test
    void aChangeOfTheRunIsRefusedUnlessItIsMeantAndThenSaid() throws Exception {
        Program.run(train(out)).succeeded();
        delete(out.resolve("checkpoint-" + STEPS));
        Outcome refused = Program.run(train(out, "--resume", "--seed", "43"));
        assertEquals(2, refused.status());
        assertTrue(refused.err().contains("seed: 42 there, 43 here"), refused.err());
        assertTrue(refused.err().contains("--allow-changed"), refused.err());
        Outcome meant = Program.run(train(out, "--resume", "--seed", "43", "--allow-changed"))
                .succeeded();
        assertTrue(meant.out().contains("seed: 42 there, 43 here"), meant.out());
        assertTrue(meant.out().contains("going on after step " + (STEPS - 2)), meant.out());
    }

    @Test
    void aRunThatWentOnElsewhereAndStoppedAtOnceHasACheckpointThere() throws Exception {
        Program.run(train(out)).succeeded();
        Path from = out.resolve("checkpoint-" + (STEPS - 2));
        byte[] whole = weights(out);
        out = Files.createDirectories(dir.resolve("elsewhere"));
        Path stop = Files.createFile(out.resolve("stop"));
        Files.setLastModifiedTime(stop, FileTime.from(Instant.now().plusSeconds(60))); // as if made while it starts
        String[] elsewhere = {"--resume", from.toString(), "--overwrite-output-dir"};
        assertEquals(3, Program.run(train(out, elsewhere)).status());
        assertEquals(List.of(out.resolve("checkpoint-" + (STEPS - 2))), checkpoints(out));
        Program.run(train(out, "--resume")).succeeded();
        assertArrayEquals(whole, weights(out));
    }

    @Test
    void aStopThatAnEarlierRunDidNotHearDoesNotEndThisOne() throws Exception {
        Files.createDirectories(out);
        Files.createFile(out.resolve("stop"));
        Files.createFile(out.resolve("save"));
        Outcome outcome = Program.run(train(out, "--overwrite-output-dir")).succeeded();
        assertTrue(outcome.out().contains(out.resolve("stop") + " was there before this run"), outcome.out());
        assertTrue(outcome.out().contains(out.resolve("save") + " was there before this run"), outcome.out());
        assertFalse(Files.exists(out.resolve("stop")));
    }

    @Test
    void theCommandListsAndVerifies() throws Exception {
        assertEquals(2, Program.run("checkpoints", dir.toString()).status());
        Program.run(train(out)).succeeded();
        Files.write(out.resolve("checkpoint-22/config.json"), new byte[3]);
        assertEquals(
                out + "/checkpoint-22  DAMAGED: config.json has 3 bytes, had "
                        + Files.size(out.resolve("checkpoint-24/config.json")) + "\n" + out
                        + "/checkpoint-24  whole  step 24  epoch 4.80\n",
                Program.run("checkpoints", out.toString()).succeeded().out());
    }

    @Test
    void theBestCheckpointStaysAndIsTheModelInTheEnd() throws Exception {
        Path held = Program.rows(dir, 40, 46);
        // so hot that the evaluation loss rises before the end
        Program.run(train(
                        out,
                        "--eval-file",
                        held.toString(),
                        "--eval-strategy",
                        "steps",
                        "--eval-steps",
                        "2",
                        "--lr",
                        "1e-2",
                        "--save-total-limit",
                        "1",
                        "--load-best-model-at-end"))
                .succeeded();
        List<Double> losses = Program.values(out, "eval_loss");
        double lowest = losses.stream().min(Double::compare).orElseThrow();
        int best = Program.steps(out, "eval_loss").get(losses.indexOf(lowest));
        assertTrue(best < STEPS, "the last step is the best: " + losses);
        assertTrue(Files.isDirectory(out.resolve("checkpoint-" + best)));
        assertTrue(Files.isDirectory(out.resolve("checkpoint-" + STEPS)));
        assertEquals(2, checkpoints(out).size());
        assertArrayEquals(weights(out.resolve("checkpoint-" + best)), weights(out));
    }

    @Test
    void aBestCheckpointThatIsGoneInTheEndDoesNotLoseTheRun() throws Exception {
        Path held = Program.rows(dir, 40, 46);
        List<String> settings = new ArrayList<>(List.of("--eval-file", held.toString(), "--eval-strategy", "steps"));
        settings.addAll(List.of("--eval-steps", "2", "--lr", "1e-1", "--load-best-model-at-end"));
        Program.run(train(out, settings.toArray(String[]::new))).succeeded();
        List<Double> losses = Program.values(out, "eval_loss");
        int best = Program.steps(out, "eval_loss")
                .get(losses.indexOf(losses.stream().min(Double::compare).orElseThrow()));
        delete(out.resolve("checkpoint-" + STEPS));
        delete(out.resolve("checkpoint-" + best));
        settings.add("--resume");
        Outcome outcome =
                Program.run(train(out, settings.toArray(String[]::new))).succeeded();
        assertTrue(outcome.out().contains("the last weights are kept: " + out), outcome.out());
        assertArrayEquals(weights(out.resolve("checkpoint-" + STEPS)), weights(out));
    }

    @Test
    void aScheduleThatChangesIsSaid() throws Exception {
        String[] schedule = {"--lr-scheduler-type", "cosine_with_min_lr"};
        Program.run(train(out, schedule)).succeeded();
        delete(out.resolve("checkpoint-" + STEPS));
        List<String> other = new ArrayList<>(List.of(schedule));
        other.addAll(List.of("--resume", "--warmup-steps", "3", "--min-lr-rate", "0.5"));
        String said = Program.run(train(out, other.toArray(String[]::new)))
                .succeeded()
                .out();
        assertTrue(said.contains("min_lr_rate 0.1 -> 0.5, warmup_steps 1 -> 3"), said);
    }

    /// Whatever a failing disk left of the run's own log.
    @Test
    void aLogOfAnyBytesDoesNotKeepARunFromGoingOn() throws Exception {
        Program.run(train(out)).succeeded();
        byte[] whole = weights(out);
        delete(out.resolve("checkpoint-" + STEPS));
        for (String name : List.of("metrics.jsonl", "events.jsonl")) {
            byte[] bytes = new byte[2000];
            new Random(3).nextBytes(bytes);
            Files.write(out.resolve(name), bytes);
        }
        Outcome outcome = Program.run(train(out, "--resume")).succeeded();
        assertFalse(outcome.err().contains("not up to date"), outcome.err());
        assertArrayEquals(whole, weights(out));
        assertEquals(List.of(STEPS), Program.steps(out, "loss"));
    }

    private String[] train(Path output, String... more) {
        List<String> args = Program.training(Program.BASE.toString(), output, rows);
        List<String> given = List.of(more);
        for (String setting : List.of(
                "--max-steps " + STEPS,
                "--batch-size 4",
                "--gradient-accumulation-steps 1",
                "--lr 1e-3",
                "--logging-steps 3",
                "--save-steps 2")) {
            String[] words = setting.split(" ");
            if (!given.contains(words[0])) {
                args.addAll(List.of(words));
            }
        }
        args.addAll(given);
        return args.toArray(String[]::new);
    }

    /// `--resume-or-start` goes on where there is something to go on from.
    private Process start(String... more) throws Exception {
        List<String> given = new ArrayList<>(List.of(more));
        if (given.remove("--resume-or-start")) {
            given.add(checkpoints(out).isEmpty() ? "--overwrite-output-dir" : "--resume");
        }
        return new ProcessBuilder(Program.command(train(out, given.toArray(String[]::new))))
                .redirectErrorStream(true)
                .redirectOutput(dir.resolve("log.txt").toFile())
                .start();
    }

    private void awaitStep() throws Exception {
        for (int i = 0; i < PATIENCE.toMillis() / 50; i++) {
            if (Files.exists(out.resolve("metrics.jsonl")) && Files.size(out.resolve("metrics.jsonl")) > 0) {
                return;
            }
            Thread.sleep(50);
        }
        throw new AssertionError("no step after " + PATIENCE + "\n" + Files.readString(dir.resolve("log.txt")));
    }

    private void awaitCheckpoint() throws Exception {
        for (int i = 0; i < PATIENCE.toMillis() / 50; i++) {
            if (!checkpoints(out).isEmpty()) {
                return;
            }
            Thread.sleep(50);
        }
        throw new AssertionError("no checkpoint after " + PATIENCE + "");
    }

    private static List<Path> checkpoints(Path run) throws IOException {
        if (!Files.isDirectory(run)) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(run)) {
            return all.filter(p -> p.getFileName().toString().startsWith("checkpoint-"))
                    .toList();
        }
    }

    private static List<Path> hidden(Path run) throws IOException {
        try (Stream<Path> all = Files.list(run)) {
            return all.filter(p -> p.getFileName().toString().startsWith(".")).toList();
        }
    }

    private static byte[] weights(Path model) throws IOException {
        return Files.readAllBytes(model.resolve("model.safetensors"));
    }

    private static void delete(Path tree) throws IOException {
        if (Files.exists(tree)) {
            try (Stream<Path> all = Files.walk(tree)) {
                for (Path path : all.sorted(java.util.Comparator.reverseOrder()).toList()) {
                    Files.delete(path);
                }
            }
        }
    }
}
