package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;
import org.sftnative.config.RunSettings;
import org.sftnative.support.InMemory;

/// `tune` with the real `train`.
class TuneTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    private Path config;
    private Path space;
    private Path study;

    @BeforeEach
    void files() throws Exception {
        study = dir.resolve("study");
        config = Files.writeString(
                dir.resolve("run.yaml"),
                "model: " + Program.BASE.toAbsolutePath() + "\ntrain_file: " + Program.rows(dir, 0, 12)
                        + "\neval_file: " + Program.rows(dir, 12, 16)
                        + "\nmax_steps: 3\nlogging_steps: 1\neval_strategy: steps\n");
        space = Files.writeString(dir.resolve("space.yaml"), "learning_rate: grid_search([1e-9, 1e-3])\n");
    }

    @Test
    void aStudyOfRealRunsEndsWithAConfigThatTrainTakesAndTheBestModel() throws Exception {
        Path cache = dir.resolve("cache");
        Outcome outcome =
                tune(cache, "--num-samples", "1", "--scheduler", "none").succeeded();
        assertEquals("", outcome.err());
        assertTrue(
                outcome.out().contains("\n2 of 2 trials: 2 completed\n\nbest: trial-0000, eval_loss "), outcome.out());
        // the second trial found the first one's tokens
        FileTime second = Files.getLastModifiedTime(study.resolve("trial-0001/settings.yaml"));
        try (Stream<Path> all = Files.walk(cache)) {
            List<Path> tokens =
                    all.filter(p -> p.toString().endsWith(".tokens")).toList();
            assertEquals(2, tokens.size(), "of training and evaluation rows");
            for (Path entry : tokens) {
                assertTrue(Files.getLastModifiedTime(entry).compareTo(second) < 0, "tokenised by the second trial");
            }
        }
        // the losses are what the runs measured, and the worse run's weights are gone
        double best = Program.values(study.resolve("trial-0000"), "eval_loss").getLast();
        assertTrue(
                best < Program.values(study.resolve("trial-0001"), "eval_loss").getLast());
        assertTrue(Files.exists(study.resolve("trial-0000/model.safetensors")));
        assertEquals(List.of(), weights(study.resolve("trial-0001")));
        // best.yaml as it is
        RunSettings settings = RunSettings.read(study.resolve("best.yaml"));
        assertEquals(1e-9, settings.training().learningRate());
        Program.run("train", "--config", study.resolve("best.yaml").toString()).succeeded();
        assertEquals(best, Program.values(study.resolve("best"), "eval_loss").getLast(), 1e-12);

        String csv = Program.run("tune", "show", study.toString(), "--csv")
                .succeeded()
                .out();
        assertEquals(3, csv.lines().count(), csv);
        assertTrue(
                csv.startsWith(
                        "trial,state,learning_rate,epoch,eval_loss,reports,crashes,seconds,why\r\n0,completed,1.0E-9,"),
                csv);
        String page = Files.readString(study.resolve("study.html"));
        assertFalse(page.contains("<script src") || page.contains("<link"), "the page asks for other files");
        assertTrue(page.length() > 1_000_000 && page.contains("\"best\":0"));

        // the study goes on only as the same one
        Files.writeString(space, "learning_rate: grid_search([1e-9, 1e-2])\n");
        Outcome changed = Program.run(args("--resume"));
        assertEquals(2, changed.status());
        assertTrue(
                changed.err()
                        .contains(
                                "learning_rate in the space was grid_search([1e-9, 1e-3]), is grid_search([1e-9, 1e-2])"),
                changed.err());
        assertTrue(Program.run(args()).err().contains("there is a study 'study'"));
    }

    @Test
    void aMetricThatNoTrialReportsIsSaidAfterTheFirstOne() throws Exception {
        Outcome outcome = tune(dir.resolve("cache"), "--metric", "accuracy", "--concurrent", "1");
        assertEquals(2, outcome.status(), outcome.out());
        assertTrue(
                outcome.err()
                        .startsWith(
                                "error: trial-0000 has ended and never reported 'accuracy'\n  it reported epoch, eval_"),
                outcome.err());
        assertTrue(outcome.err().contains(" eval_loss, "), outcome.err());
    }

    @Test
    void aStudyWhoseTrialsAllFailFails() throws Exception {
        Files.writeString(config, "model: " + dir.resolve("none") + "\ntrain_file: r\neval_file: r\n");
        Outcome outcome = tune(dir.resolve("cache"), "--num-samples", "1");
        assertEquals(1, outcome.status(), outcome.out());
        assertTrue(outcome.out().contains("\n2 of 2 trials: 2 failed\n"), outcome.out());
        assertTrue(
                outcome.out().contains("\ntrial-0000: exit status 2: error: model directory " + dir.resolve("none")),
                outcome.out());
        assertTrue(outcome.out().endsWith("no trial has a value: there are no best settings\n"), outcome.out());
        assertFalse(Files.exists(study.resolve("best.yaml")));
    }

    @Test
    void inputThatCannotBeRightIsRefusedBeforeAnythingIsWritten() throws Exception {
        Files.writeString(space, "learning_rat: uniform(0, 1)\n");
        assertTrue(Program.run(args()).err().contains("did you mean 'learning_rate'?"));
        Files.writeString(space, "learning_rate: uniform(0, 1)\n");
        Files.writeString(config, "model: m\ntrain_file: rows\n");
        String err = Program.run(args()).err();
        assertTrue(err.startsWith("error: no trial would report 'eval_loss'"), err);
        assertFalse(Files.exists(study));
        assertTrue(Program.run("tune", "--output-dir", "x").err().startsWith("error: --config is missing"));
        assertTrue(Program.run("tune", "--worker").err().contains("--storage"));
        assertTrue(Program.run("tune", "show", dir.toString()).err().contains("has no study.db"));
        Files.writeString(config, "model: m\ntrain_file: rows\neval_fraction: 0.1\n");
        String storage = Program.run(args("--storage", "jdbc:mysql://host/db")).err();
        assertTrue(storage.contains("storage 'jdbc:mysql://host/db' is not one that this program knows"), storage);
        String grid = Program.run(args("--searcher", "grid")).err();
        assertTrue(grid.startsWith("error: a grid cannot try the range of 'learning_rate' (" + space + ":1)\n"), grid);
        String gpus = Program.run(args("--gpus-per-trial", "64")).err();
        assertTrue(gpus.startsWith("error: a trial needs 64.0 GPUs, this machine has "), gpus);
        assertFalse(Files.exists(study));
        assertTrue(
                Program.run("tune", "--example").succeeded().out().contains("learning_rate: loguniform(1e-5, 1e-3)"));
    }

    private Outcome tune(Path cache, String... more) throws Exception {
        return Program.process(Map.of("XDG_CACHE_HOME", cache.toString(), "LC_ALL", "C.UTF-8"), List.of(), args(more));
    }

    private String[] args(String... more) {
        List<String> args =
                new ArrayList<>(List.of("tune", "--config", config.toString(), "--space", space.toString()));
        args.addAll(List.of("--output-dir", study.toString()));
        args.addAll(Arrays.asList(more));
        return args.toArray(String[]::new);
    }

    private static List<String> weights(Path trial) throws Exception {
        try (Stream<Path> all = Files.walk(trial)) {
            return all.map(p -> p.getFileName().toString())
                    .filter(name -> name.endsWith(".safetensors") || name.startsWith("checkpoint-"))
                    .toList();
        }
    }
}
