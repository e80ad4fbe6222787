package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The launcher of a distribution, in one whose Java only says what it was given. `PATH` has the few programs that it
/// calls, and an `ldconfig` that knows no library.
class LauncherTest {
    private static final List<String> LIBRARIES = Stream.concat(Doctor.LIBRARIES.stream(), Stream.of("libnvrtc.so.13"))
            .toList();

    @TempDir
    Path dir;

    private Path dist;
    private final Map<String, String> environment = new TreeMap<>();

    private record Outcome(int status, String out, String err) {}

    @BeforeEach
    void unpack() throws IOException {
        dist = Files.createDirectories(dir.resolve("sft native/bin")).getParent(); // people have spaces in paths
        Files.copy(Path.of("dist/sft-native"), dist.resolve("bin/sft-native"));
        program(dist.resolve("runtime/bin/java"), "printf '%s\\n' \"$LD_LIBRARY_PATH\" \"$@\"");
        Path tools = Files.createDirectories(dir.resolve("tools"));
        for (String tool : List.of("bash", "readlink", "dirname", "tr", "awk", "ls", "locale")) {
            Files.createSymbolicLink(tools.resolve(tool), Path.of("/usr/bin").resolve(tool));
        }
        program(tools.resolve("ldconfig"), "true");
        environment.put("PATH", tools.toString());
        environment.put("HOME", dir.resolve("home").toString());
    }

    @Test
    void findsLibrariesOfTheTarball() throws Exception {
        libraries(dist.resolve("cuda"));
        assertStartsWith(dist.resolve("cuda").toString());
    }

    @Test
    void findsLibrariesOfAToolkit() throws Exception {
        Path toolkit = libraries(dir.resolve("cuda-13.1/lib64"));
        environment.put("CUDA_HOME", toolkit.getParent().toString());
        assertStartsWith(toolkit.toString());
    }

    @Test
    void findsLibrariesOfPip() throws Exception {
        Path nvidia = dir.resolve("venv/lib/python3.12/site-packages/nvidia");
        Files.createDirectories(nvidia.resolve("cudnn/lib"));
        libraries(nvidia.resolve("cu13/lib"));
        Files.move(nvidia.resolve("cu13/lib/libcudnn.so.9"), nvidia.resolve("cudnn/lib/libcudnn.so.9"));
        environment.put("VIRTUAL_ENV", dir.resolve("venv").toString());
        String found = run("train").out().lines().findFirst().orElseThrow();
        // a toolkit of this machine may come first, and have some of them
        assertTrue(found.contains(nvidia.resolve("cudnn/lib").toString()) || Files.exists(systemCudnn()), found);
        assertTrue(found.contains(nvidia.resolve("cu13/lib").toString()) || Files.exists(systemCudnn()), found);
    }

    @Test
    void passesEveryArgumentAndKeepsTheLibraryPath() throws Exception {
        libraries(dist.resolve("cuda"));
        environment.put("LD_LIBRARY_PATH", "/mine");
        environment.put("SFT_JAVA_OPTS", "-Xmx3g -Da=b");
        List<String> said = run("train", "--model", "my model").out().lines().toList();
        assertEquals(dist.resolve("cuda") + ":/mine", said.getFirst());
        assertEquals(
                List.of(
                        "-Xmx3g",
                        "-Da=b",
                        "-jar",
                        dist.resolve("lib/sft-native.jar").toString(),
                        "train",
                        "--model",
                        "my model"),
                said.subList(said.size() - 7, said.size()));
    }

    @Test
    void aMissingLibraryIsNamedWithWhatToDo() throws Exception {
        Files.delete(libraries(dist.resolve("cuda")).resolve("libcufile.so.0"));
        if (Files.exists(Path.of("/usr/local/cuda/lib64/libcufile.so.0"))) {
            return; // this machine has it
        }
        Outcome outcome = run("train", "--help");
        assertEquals(1, outcome.status());
        assertEquals("", outcome.out());
        assertTrue(
                outcome.err()
                        .startsWith(
                                "error: the CUDA libraries of this build are missing here: libcufile.so.0\n  install"),
                outcome.err());
        assertTrue(outcome.err().contains("scripts/dist --cpu"), outcome.err());
        assertTrue(outcome.err().contains("  " + dist.resolve("cuda") + "\n"), outcome.err());
        String listed = run("--libraries").out();
        assertTrue(listed.contains("missing:  libcufile.so.0\n"), listed);
    }

    /// The doctor says what is missing itself, and the version needs nothing.
    @Test
    void doctorAndVersionRunWithoutLibraries() throws Exception {
        for (String word : List.of("doctor", "--version", "--help", "help")) {
            Outcome outcome = run(word);
            assertEquals(0, outcome.status(), outcome.err());
            assertTrue(outcome.out().endsWith("\n" + word + "\n"), outcome.out());
        }
    }

    /// As `scripts/dist --cpu` writes it: no library is looked for, and none missed.
    @Test
    void theOneForCpusNeedsNoLibrary() throws Exception {
        String written = Files.readAllLines(Path.of("scripts/dist")).stream()
                .filter(line -> line.startsWith("sed ") && line.endsWith(">\"$stage/bin/sft-native\""))
                .findFirst()
                .orElseThrow();
        Process bash = new ProcessBuilder("bash", "-euc", "kind=cpu ROOT=. stage=$1; " + written, "", dist.toString())
                .inheritIO()
                .start();
        assertEquals(0, bash.waitFor());
        for (String word : List.of("train", "doctor")) {
            Outcome outcome = run(word);
            assertEquals(0, outcome.status(), outcome.err());
            assertEquals("", outcome.err());
            assertTrue(outcome.out().startsWith("\n--enable-native-access"), outcome.out());
        }
    }

    /// A service has no `HOME`, and a container not the locale that ssh brought along.
    @Test
    void javaReadsNamesAsUtf8WhateverTheEnvironment() throws Exception {
        libraries(dist.resolve("cuda"));
        program(dist.resolve("runtime/bin/java"), "printf '%s' \"$LC_ALL\"");
        environment.remove("HOME");
        assertEquals(new Outcome(0, "C.UTF-8", noDriver()), run("train"));
        environment.put("LANG", "xx_XX.UTF-8");
        assertEquals(new Outcome(0, "C.UTF-8", noDriver()), run("train"));
    }

    private static String noDriver() {
        return Stream.of("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64")
                        .anyMatch(folder -> Files.exists(Path.of(folder, "libcuda.so.1")))
                ? ""
                : "warning: no NVIDIA driver (libcuda.so.1): only --device cpu will work\n";
    }

    private static Path systemCudnn() {
        return Path.of("/usr/local/cuda/lib64/libcudnn.so.9");
    }

    private void assertStartsWith(String folder) throws Exception {
        Outcome outcome = run("train");
        assertEquals(0, outcome.status(), outcome.err());
        assertEquals(folder, outcome.out().lines().findFirst().orElseThrow());
        assertTrue(run("--libraries").out().startsWith("found in: " + folder + "\nmissing:  nothing\n"));
    }

    private static Path libraries(Path folder) throws IOException {
        Files.createDirectories(folder);
        for (String library : LIBRARIES) {
            Files.createFile(folder.resolve(library));
        }
        return folder;
    }

    private static void program(Path file, String body) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, "#!/bin/sh\n" + body + "\n");
        assertTrue(file.toFile().setExecutable(true));
    }

    private Outcome run(String... arguments) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of("bash", dist.resolve("bin/sft-native").toString()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectError(dir.resolve("err").toFile());
        builder.environment().clear();
        builder.environment().putAll(environment);
        Process process = builder.start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Outcome(process.waitFor(), out, Files.readString(dir.resolve("err")));
    }
}
