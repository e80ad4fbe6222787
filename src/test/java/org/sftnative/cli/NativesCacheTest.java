package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.LongUnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Where libtorch's files are unpacked to at the first start: half of them, none of them, all at once, nowhere. JavaCPP
/// locks that folder; what is cut there, this program deletes first.
@Tag("slow") // 445 MB are unpacked several times
class NativesCacheTest {
    @TempDir
    Path folder;

    @Test
    void aStartThatIsKilledWhileItUnpacksLeavesNothingThatHarmsTheNext() throws Exception {
        for (int killed = 1; killed <= 3; killed++) {
            Process process = start(folder.resolve("cache"));
            while (process.isAlive() && size(folder.resolve("cache")) < killed * 60_000_000L) {
                Thread.sleep(5);
            }
            assertTrue(process.isAlive(), "it was done before it could be killed");
            process.destroyForcibly().waitFor();
        }
        succeeds(start(folder.resolve("cache")));
    }

    @Test
    void filesThatAreCutAreUnpackedAgain() throws Exception {
        cut(length -> length / 2);
    }

    @Test
    void filesThatAreEmptyAreUnpackedAgain() throws Exception {
        cut(_ -> 0);
    }

    @Test
    void oneFileThatIsCutIsUnpackedAgain() throws Exception {
        Path cache = folder.resolve("cache");
        succeeds(start(cache));
        for (Path library : libraries()) {
            cut(library, length -> length / 2);
            succeeds(start(cache));
        }
    }

    private void cut(LongUnaryOperator length) throws Exception {
        Path cache = folder.resolve("cache");
        succeeds(start(cache));
        for (Path library : libraries()) {
            cut(library, length);
        }
        succeeds(start(cache));
    }

    private static void cut(Path library, LongUnaryOperator length) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(library.toFile(), "rw")) {
            file.setLength(length.applyAsLong(file.length()));
        }
    }

    /// What was unpacked: libtorch's and the tokenizers library.
    private List<Path> libraries() throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            // JavaCPP links libraries that the system has, CUDA's say, into its folder: those are not ours to cut
            List<Path> libraries = all.filter(f -> Files.isRegularFile(f, LinkOption.NOFOLLOW_LINKS)
                            && f.toString().contains(".so"))
                    .toList();
            assertTrue(libraries.size() > 5, "nothing was unpacked: " + libraries);
            assertTrue(libraries.toString().contains("libtokenizers"), libraries.toString());
            return libraries;
        }
    }

    @Test
    void severalFirstStartsAtOnceAllWork() throws Exception {
        List<Process> processes = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            processes.add(start(folder.resolve("cache")));
        }
        for (Process process : processes) {
            succeeds(process);
        }
    }

    @Test
    void withoutAnyFolderThatMayBeWrittenItIsToldWhatToSet() throws Exception {
        Path file = Files.createFile(folder.resolve("file"));
        Process process = start("-Duser.home=" + file + "/home", "-Djava.io.tmpdir=" + file + "/tmp");
        String said = new String(process.getInputStream().readAllBytes());
        assertEquals(1, process.waitFor(), said);
        assertTrue(said.contains("error: the native libraries cannot be unpacked or loaded: "), said);
        assertTrue(said.contains("home folder " + file + "/home is no folder"), said);
        assertTrue(said.contains("-Dorg.bytedeco.javacpp.cachedir=FOLDER"), said);
    }

    /// Root may write where a mode forbids it, but not to a file system that is read-only.
    @Test
    void aFolderThatMayNotBeWrittenMeansThatForTemporaryFiles() throws Exception {
        Path home = Files.createDirectories(folder.resolve("home"));
        Path temporary = Files.createDirectories(folder.resolve("tmp"));
        try (Volume volume = new Volume(home, "size=1m")) {
            Files.createDirectories(home.resolve(".javacpp/cache"));
            assertTrue(volume.remount("ro"));
            succeeds(start("-Duser.home=" + home, "-Djava.io.tmpdir=" + temporary));
            assertTrue(size(temporary) > 100_000_000, "nothing was unpacked there");
        }
    }

    @Test
    void aFolderThatWasFilledAndMayNotBeWrittenSinceIsUsed() throws Exception {
        Path cache = folder.resolve("cache");
        try (Volume volume = new Volume(cache, "size=1g")) {
            succeeds(start(cache));
            assertTrue(volume.remount("ro"));
            succeeds(start(cache));
        }
    }

    @Test
    void aHomeThatIsReadOnlyMeansTheFolderForTemporaryFiles() throws Exception {
        Path home = Files.createDirectories(folder.resolve("home"));
        Path temporary = Files.createDirectories(folder.resolve("tmp"));
        try (Volume volume = new Volume(home, "size=1m")) {
            assertTrue(volume.remount("ro"));
            succeeds(start("-Duser.home=" + home, "-Djava.io.tmpdir=" + temporary));
            assertTrue(size(temporary) > 100_000_000, "nothing was unpacked there");
        }
    }

    /// A home below a file: none can be made there, whoever asks.
    @Test
    void aHomeThatCannotBeWrittenMeansTheFolderForTemporaryFiles() throws Exception {
        Path temporary = Files.createDirectories(folder.resolve("tmp"));
        Path file = Files.createFile(folder.resolve("file"));
        succeeds(start("-Duser.home=" + file + "/home", "-Djava.io.tmpdir=" + temporary));
        assertTrue(size(temporary) > 100_000_000, "nothing was unpacked there");
    }

    private static void succeeds(Process process) throws Exception {
        String said = new String(process.getInputStream().readAllBytes());
        assertTrue(process.waitFor(5, TimeUnit.MINUTES), "not done after five minutes");
        assertEquals(0, process.exitValue(), said);
    }

    /// A command that needs libtorch and little else.
    private Process start(Path cache) throws IOException {
        return start("-Dorg.bytedeco.javacpp.cachedir=" + cache);
    }

    private Process start(String... options) throws IOException {
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(List.of(options));
        command.addAll(List.of(
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "generate",
                "--model",
                Program.BASE.toString(),
                "--instruction",
                "a",
                "--max-new-tokens",
                "1",
                "--threads",
                "1"));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("DJL_CACHE_DIR", folder.resolve("djl").toString());
        return builder.start();
    }

    private static long size(Path cache) throws IOException {
        if (!Files.exists(cache)) {
            return 0;
        }
        try (Stream<Path> all = Files.walk(cache)) {
            return all.mapToLong(file -> {
                        try {
                            return Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) ? Files.size(file) : 0;
                        } catch (IOException gone) {
                            return 0;
                        }
                    })
                    .sum();
        }
    }
}
