package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.support.InMemory;

/// `java -jar` of a jar whose manifest leads to this build's classes, as the packaged one has them in it.
class TuneJarTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    /// The study's process is killed in the middle of its second trial; a worker in another folder goes on.
    @Test
    void aStudyAndItsWorkerRunFromTheJarInAnyFolder() throws Exception {
        jar();
        Path home = Files.createDirectories(dir.resolve("a folder"));
        Files.copy(Program.rows(dir, 0, 12), home.resolve("rows.jsonl"));
        Files.writeString(
                home.resolve("run.yaml"),
                "model: " + Program.BASE.toAbsolutePath() + "\ntrain_file: rows.jsonl\neval_file: rows.jsonl\n"
                        + "max_steps: 12\nlogging_steps: 1\neval_strategy: steps\neval_steps: 3\nsave_steps: 3\n"
                        + "threads: 1\n");
        Files.writeString(home.resolve("space.yaml"), "learning_rate: grid_search([1e-9, 1e-3])\n");
        Path study = home.resolve("study");
        Process begun = start(
                home,
                "tune --config run.yaml --space space.yaml --output-dir study --num-samples 1 --scheduler none --lease 2s"
                        .split(" "));
        Path checkpoint = study.resolve("trial-0001/checkpoint-3/MANIFEST.json");
        for (int i = 0; i < 1200 && begun.isAlive() && !Files.exists(checkpoint); i++) {
            Thread.sleep(50);
        }
        assertTrue(
                Files.exists(checkpoint),
                () -> said(home) + Program.contents(study).keySet());
        begun.destroyForcibly().waitFor();

        Path elsewhere = Files.createDirectories(dir.resolve("elsewhere"));
        Process worker = start(elsewhere, "tune", "--worker", "--storage", "jdbc:sqlite:" + study.resolve("study.db"));
        assertTrue(worker.waitFor(2, TimeUnit.MINUTES), "not done after two minutes");
        assertEquals(0, worker.exitValue(), said(elsewhere));
        assertTrue(
                said(elsewhere).contains("\n2 of 2 trials: 2 completed\n\nbest: trial-0001, eval_loss "),
                said(elsewhere));
        String log = Files.readString(study.resolve("trial-0001/log.txt"));
        assertTrue(log.contains("resum"), log);
        assertEquals(List.of(3, 6, 9, 12), Program.steps(study.resolve("trial-0001"), "eval_loss"));
        assertTrue(Files.exists(study.resolve("best.yaml")));
        assertTrue(Files.exists(study.resolve("trial-0001/model.safetensors")));
        // the settings that won, from the folder whose paths they have
        Process best =
                start(home, "train", "--config", study.resolve("best.yaml").toString());
        assertTrue(best.waitFor(2, TimeUnit.MINUTES) && best.exitValue() == 0, said(home));
    }

    private void jar() throws Exception {
        Manifest manifest = new Manifest();
        Attributes main = manifest.getMainAttributes();
        main.put(Attributes.Name.MANIFEST_VERSION, "1.0");
        main.put(Attributes.Name.MAIN_CLASS, Main.class.getName());
        main.putValue("Enable-Native-Access", "ALL-UNNAMED");
        main.put(
                Attributes.Name.CLASS_PATH,
                Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                        .map(entry -> Path.of(entry).toUri().toString())
                        .collect(Collectors.joining(" ")));
        try (OutputStream out = Files.newOutputStream(dir.resolve("program.jar"))) {
            new JarOutputStream(out, manifest).close();
        }
    }

    private Process start(Path folder, String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--sun-misc-unsafe-memory-access=allow",
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-jar",
                "../program.jar"));
        command.addAll(List.of(args));
        return new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("said.txt").toFile())
                .start();
    }

    private static String said(Path folder) {
        return Program.contents(folder).getOrDefault("said.txt", "");
    }
}
