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
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Where libtorch's files are unpacked to at the first start: half of them, none of them, all at once, nowhere. JavaCPP
/// locks that folder, and should unpack a file again whose size is not its jar's; it does not for each of them, and
/// `aFileThatIsCutIsUnpackedAgain` fails.
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
    void aFileThatIsCutIsUnpackedAgain() throws Exception {
        Path cache = folder.resolve("cache");
        succeeds(start(cache));
        List<Path> libraries;
        try (Stream<Path> all = Files.walk(cache)) {
            // JavaCPP links libraries that the system has, CUDA's say, into its folder: those are not ours to cut
            libraries = all.filter(f -> Files.isRegularFile(f, LinkOption.NOFOLLOW_LINKS)
                            && f.toString().contains(".so"))
                    .toList();
        }
        assertTrue(libraries.size() > 5, "nothing was unpacked: " + libraries);
        for (Path library : libraries) {
            assertTrue(library.toRealPath().startsWith(folder.toRealPath()), library + " lies elsewhere");
            try (RandomAccessFile file = new RandomAccessFile(library.toFile(), "rw")) {
                file.setLength(file.length() / 2);
            }
        }
        succeeds(start(cache));
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
    private static Process start(Path cache) throws IOException {
        return start("-Dorg.bytedeco.javacpp.cachedir=" + cache);
    }

    private static Process start(String... options) throws IOException {
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
        return new ProcessBuilder(command).redirectErrorStream(true).start();
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
