package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.io.FaultyDisk;
import org.sftnative.support.InMemory;

/// A process that is killed at, or a disk that fails from, the N-th change that it makes to files: every write (by
/// half), sync, rename, deletion and new directory of the trial, the checkpoints, their rotation and the last save.
/// 2 steps, a checkpoint after each, one kept.
class DiskFaultTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    private Path rows;
    private Path whole;

    @BeforeEach
    void whole() throws IOException {
        rows = Program.rows(dir, 0, 12);
        whole = dir.resolve("whole");
        Program.run(train(whole)).succeeded();
    }

    @Test
    void killedInASaveARunGoesOnAsIfItHadNotBeen() throws Exception {
        assertTrue(survivesKill(190), "there are fewer changes");
    }

    @Test
    @Tag("slow")
    void killedAtEveryChangeARunGoesOnAsIfItHadNotBeen() throws Exception {
        int tried = all(2, this::survivesKill);
        System.out.println("killed at each of " + tried + " changes of the disk: all survived");
        assertTrue(tried > 150, "only " + tried + " changes: the faults do not reach the saves");
    }

    @Test
    void aDiskThatIsFullOrBreaksInTheSecondSaveLeavesTheFirst() throws Exception {
        assertTrue(survivesFailure("full", 150, this::inAProcess));
        assertTrue(survivesFailure("broken", 80, this::here));
    }

    @Test
    @Tag("slow")
    void aDiskThatIsFullAtAnyChangeLeavesWhatWasThere() throws Exception {
        int tried = all(1, n -> survivesFailure("full", n, this::here));
        System.out.println("disk full at each of " + tried + " changes: all survived");
        assertTrue(tried > 150);
    }

    @Test
    @Tag("slow")
    void aDiskThatBreaksAtAnyChangeLeavesWhatWasThere() throws Exception {
        int tried = all(1, n -> survivesFailure("broken", n, this::here));
        System.out.println("disk broken at each of " + tried + " changes: all survived");
        assertTrue(tried > 150);
    }

    /// The kernel's own ENOSPC at every file and folder that a run makes, one after the other.
    @Test
    @Tag("slow")
    void aVolumeThatRunsOutOfInodesAtAnyFileLeavesWhatWasThere() throws Exception {
        int inodes = 2; // the root and one file
        for (boolean enough = false; !enough; inodes++) {
            String what = inodes + " inodes";
            try (Volume volume = new Volume(dir.resolve("inodes-" + inodes), "size=64m,nr_inodes=" + inodes)) {
                Path out = volume.path();
                Outcome outcome = Program.run(train(out, "--overwrite-output-dir"));
                enough = outcome.status() == 0 && Files.exists(out.resolve("model.safetensors"));
                assertTrue(enough || outcome.err().contains("No space left on device"), what + "\n" + outcome.err());
                assertTrue(volume.remount("nr_inodes=1000"));
                goesOn(out, what);
            }
        }
        System.out.println("no inode left after each of " + (inodes - 3) + ": all survived");
        assertTrue(inodes > 20);
    }

    /// A real file system that is too small for a second checkpoint: told before a byte is written.
    @Test
    void aVolumeWithoutRoomIsToldBeforeASaveAlsoBehindALink() throws Exception {
        long checkpoint = Program.contents(whole.resolve("checkpoint-2")).values().stream()
                .mapToLong(String::length)
                .sum();
        try (Volume volume = new Volume(dir.resolve("small"), "size=" + checkpoint * 3 / 2)) {
            Path out = Files.createSymbolicLink(dir.resolve("link"), volume.path());
            Outcome outcome = Program.run(train(out, "--overwrite-output-dir"));
            assertEquals(2, outcome.status(), outcome.err());
            assertTrue(outcome.err().contains(out + ": a checkpoint needs "), outcome.err());
            assertTrue(outcome.err().contains("make room"), outcome.err());
            assertEquals("[checkpoint-1]", names(out));
            assertTrue(Program.run("checkpoints", out.toString()).out().contains("checkpoint-1  whole"));
        }
        try (Volume volume = new Volume(dir.resolve("tiny"), "size=" + checkpoint / 2)) {
            Outcome outcome = Program.run(train(volume.path(), "--overwrite-output-dir"));
            assertEquals(2, outcome.status());
            assertFalse(outcome.out().contains("step 1/2"), "it is found before the first step\n" + outcome.out());
        }
    }

    /// ENOSPC from the kernel, which no look at free bytes foresees: no inode is left.
    @Test
    void aVolumeWithoutInodesLeavesTheCheckpointsThatAreThere() throws Exception {
        try (Volume volume = new Volume(dir.resolve("inodes"), "size=64m,nr_inodes=17")) {
            Path out = volume.path();
            Outcome outcome = Program.run(train(out, "--overwrite-output-dir"));
            assertEquals(1, outcome.status(), outcome.err());
            assertTrue(outcome.err().contains("No space left on device"), outcome.err());
            assertEquals("[checkpoint-1]", names(out));
            Path moved = Program.copy(out, dir.resolve("moved"));
            Program.run(train(moved, "--resume")).succeeded();
            assertSame(moved, "after the disk was full");
        }
    }

    /// What a volume does that turns read-only while a run writes is `broken@N`, above.
    @Test
    void aVolumeThatIsReadOnlyIsToldAtTheStartAndItsCheckpointsStayWhole() throws Exception {
        try (Volume volume = new Volume(dir.resolve("volume"), "size=64m")) {
            Path out = volume.path();
            Program.run(train(out, "--overwrite-output-dir", "--save-total-limit", "2"))
                    .succeeded();
            assertTrue(volume.remount("ro"));
            Map<String, String> before = Program.contents(out);
            for (String how : List.of("--resume", "--overwrite-output-dir")) {
                Outcome refused = Program.run(train(out, how));
                assertTrue(refused.status() == 1 || refused.status() == 2, refused.out());
                assertTrue(refused.err().startsWith("error: " + out), refused.err());
                assertFalse(refused.out().contains("step 1/2"), refused.out());
            }
            assertEquals(before, Program.contents(out));
            assertTrue(volume.remount("rw"));
            Program.run(train(out, "--resume", "--save-total-limit", "2")).succeeded();
            assertSame(out, "after the volume was read-only");
        }
    }

    private interface Attempt {
        /// @return false if the process made fewer changes
        boolean at(int n) throws Exception;
    }

    private interface Run {
        Outcome with(String fault, String... args) throws Exception;
    }

    /// One run at a time.
    private Outcome here(String fault, String... args) {
        try (FaultyDisk _ = new FaultyDisk(fault)) {
            return Program.run(args);
        }
    }

    private Outcome inAProcess(String fault, String... args) throws Exception {
        int status = start(List.of("-Dsftnative.fault=" + fault), args).waitFor();
        return new Outcome(status, "", log());
    }

    /// Every change from the first on, some at a time.
    private static int all(int atATime, Attempt attempt) throws Exception {
        AtomicInteger next = new AtomicInteger();
        AtomicInteger survived = new AtomicInteger();
        Callable<Void> worker = () -> {
            while (attempt.at(next.incrementAndGet())) {
                survived.incrementAndGet();
            }
            return null;
        };
        try (ExecutorService workers = Executors.newFixedThreadPool(atATime)) {
            for (Future<Void> done : workers.invokeAll(Collections.nCopies(atATime, worker))) {
                done.get();
            }
        }
        return survived.get();
    }

    private boolean survivesKill(int n) throws Exception {
        Path out = dir.resolve("kill-" + n);
        int status = start(List.of("-Dsftnative.fault=kill@" + n), train(out)).waitFor();
        if (status == 0) {
            return false;
        }
        assertEquals(137, status, () -> "killed at " + n + ": " + log());
        goesOn(out, "killed at change " + n);
        return true;
    }

    private boolean survivesFailure(String kind, int n, Run run) throws Exception {
        Path out = dir.resolve(kind + "-" + n);
        Outcome outcome = run.with(kind + "@" + n, train(out));
        if (outcome.status() == 0 && Files.exists(out.resolve("model.safetensors"))) {
            return false; // or what could not be done is no more than cleaning up
        }
        assertEquals(1, outcome.status(), () -> kind + " at " + n + ": " + outcome.err());
        goesOn(out, kind + " from change " + n);
        return true;
    }

    private void goesOn(Path out, String what) throws IOException {
        if (Files.isDirectory(out)) {
            for (Path checkpoint : Checkpoint.all(out)) {
                Outcome listed = Program.run("checkpoints", out.toString());
                assertFalse(listed.out().contains("DAMAGED"), () -> what + ": " + checkpoint + "\n" + listed.out());
            }
        }
        boolean any = Files.isDirectory(out) && Checkpoint.count(out) > 0;
        Outcome outcome = Program.run(train(out, any ? "--resume" : "--overwrite-output-dir"));
        assertEquals(0, outcome.status(), () -> what + "\n" + outcome.err());
        assertSame(out, what);
        new ProcessBuilder("rm", "-rf", out.toString())
                .inheritIO()
                .start()
                .onExit()
                .join();
    }

    /// Files that hold times.
    private static boolean showsTheRun(String name) {
        return name.matches("metrics.jsonl|events.jsonl|report.html|runs(/.*)?");
    }

    /// Every file but those that show the run, byte for byte; the log but for its times.
    private void assertSame(Path out, String what) throws IOException {
        Map<String, String> expected = Program.contents(whole);
        Map<String, String> actual = Program.contents(out);
        expected.keySet().removeIf(DiskFaultTest::showsTheRun);
        actual.keySet().removeIf(DiskFaultTest::showsTheRun);
        // the checkpoint that a run went on from is kept beside the newest
        actual.keySet().removeIf(name -> name.startsWith("checkpoint-1/"));
        assertEquals(expected.keySet(), actual.keySet(), what);
        expected.forEach((file, content) -> assertTrue(content.equals(actual.get(file)), () -> what + ": " + file));
        assertEquals(Program.numbers(whole), Program.numbers(out), what);
    }

    private static final class Checkpoint {
        static List<Path> all(Path out) throws IOException {
            try (Stream<Path> all = Files.list(out)) {
                return all.filter(p -> p.getFileName().toString().startsWith("checkpoint-"))
                        .toList();
            }
        }

        static int count(Path out) throws IOException {
            return all(out).size();
        }
    }

    private static String names(Path run) throws IOException {
        try (Stream<Path> all = Files.list(run)) {
            return all.map(p -> p.getFileName().toString())
                    .filter(name -> !showsTheRun(name))
                    .sorted()
                    .toList()
                    .toString();
        }
    }

    private String log() {
        try {
            return Files.readString(dir.resolve("log.txt"));
        } catch (IOException e) {
            return e.toString();
        }
    }

    private String[] train(Path output, String... more) {
        List<String> args = Program.training(Program.BASE.toString(), output, rows);
        args.addAll(List.of(
                "--batch-size",
                "4",
                "--gradient-accumulation-steps",
                "1",
                "--lr",
                "1e-3",
                "--logging-steps",
                "1",
                "--save-steps",
                "1"));
        List<String> given = List.of(more);
        if (!given.contains("--max-steps")) {
            args.addAll(List.of("--max-steps", "2"));
        }
        if (!given.contains("--save-total-limit")) {
            args.addAll(List.of("--save-total-limit", "1"));
        }
        args.addAll(given);
        return args.toArray(String[]::new);
    }

    private Process start(List<String> java, String[] args) throws IOException {
        List<String> command = Program.command(args);
        command.addAll(1, java);
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(
                        ProcessBuilder.Redirect.appendTo(dir.resolve("log.txt").toFile()))
                .start();
    }
}
