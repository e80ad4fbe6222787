package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Where libtorch's files are unpacked to at the first start: half of them, none of them, all at once, nowhere. JavaCPP
/// locks that folder, and unpacks a file again whose size or time is not its jar's; this holds it to that.
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
            libraries = all.filter(f -> Files.isRegularFile(f) && f.toString().contains(".so"))
                    .toList();
        }
        for (Path library : libraries) {
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

    private static void succeeds(Process process) throws Exception {
        String said = new String(process.getInputStream().readAllBytes());
        assertTrue(process.waitFor(5, TimeUnit.MINUTES), "not done after five minutes");
        assertEquals(0, process.exitValue(), said);
    }

    /// A command that needs libtorch and little else.
    private Process start(Path cache) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Dorg.bytedeco.javacpp.cachedir=" + cache,
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
                "1");
        return builder.redirectErrorStream(true).start();
    }

    private static long size(Path cache) throws IOException {
        if (!Files.exists(cache)) {
            return 0;
        }
        try (Stream<Path> all = Files.walk(cache)) {
            return all.mapToLong(file -> {
                        try {
                            return Files.isRegularFile(file) ? Files.size(file) : 0;
                        } catch (IOException gone) {
                            return 0;
                        }
                    })
                    .sum();
        }
    }
}
