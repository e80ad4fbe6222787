package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.SettingValue;
import org.sftnative.tune.Decision;
import org.sftnative.tune.TrialState;
import org.sftnative.tune.study.Study;
import org.sftnative.tune.study.StudyStore.Snapshot;
import org.sftnative.tune.study.TrialRow;

class LiveTableTest {
    @TempDir
    Path dir;

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private Study study;

    @BeforeEach
    void begin() {
        study = Study.begin(
                TuneCommand.TUNE.bind(Map.of("output_dir", dir.resolve("out").toString(), "resume", "true")),
                Optional.of(List.of(
                        new SettingValue("model", List.of("m"), "run.yaml"),
                        new SettingValue("train_file", List.of("rows"), "run.yaml"),
                        new SettingValue("eval_file", List.of("rows"), "run.yaml"))),
                Optional.of("learning_rate: loguniform(1e-5, 1e-3)\n"),
                Set.of());
    }

    @AfterEach
    void close() {
        study.close();
    }

    private LiveTable table(boolean terminal) {
        return new LiveTable(study, new PrintStream(bytes, true, StandardCharsets.UTF_8), terminal);
    }

    private String said() {
        String text = bytes.toString(StandardCharsets.UTF_8);
        bytes.reset();
        return text;
    }

    private static TrialRow row(int number, TrialState state, double loss) {
        return new TrialRow(
                number,
                Map.of("learning_rate", 1e-4),
                state,
                0,
                0,
                "w",
                "",
                1,
                List.of(new TrialRow.Measured(1, 1, loss, Decision.CONTINUE)));
    }

    private static Snapshot snapshot(int trials, TrialState last) {
        return new Snapshot(
                100,
                IntStream.range(0, trials)
                        .mapToObj(k -> row(k, k == trials - 1 ? last : TrialState.STOPPED, k == 1 ? 2 : 3))
                        .toList());
    }

    @Test
    void onATerminalTheTableIsDrawnOverItself() {
        LiveTable table = table(true);
        table.changed(snapshot(3, TrialState.RUNNING));
        List<String> first = said().lines().toList();
        assertEquals(5, first.size(), first::toString); // heading, three trials, summary
        assertTrue(first.get(0).matches("trial +learning_rate +epoch +eval_loss +state +time"), first.get(0));
        assertTrue(first.get(2).startsWith("0001* "), first.get(2));
        assertEquals("3 of 100 trials: 1 running, 2 stopped", first.get(4));
        table.changed(snapshot(3, TrialState.COMPLETED));
        String second = said();
        assertTrue(second.startsWith("\033[5A\033[J"), second);
        assertTrue(second.contains("completed"), second);
        // what is said in between is not drawn over
        table.said("trial-0002 crashed");
        assertEquals("\033[5A\033[Jtrial-0002 crashed\n", said());
        table.changed(snapshot(3, TrialState.COMPLETED));
        assertTrue(said().startsWith("trial"));
    }

    @Test
    void ofManyTrialsTheBestThoseThatRunAndTheNewestAreShown() {
        table(true).changed(snapshot(50, TrialState.RUNNING));
        String text = said();
        assertEquals(22, text.lines().count());
        assertTrue(text.contains("\n0001* ") && text.contains("\n0049 "), text);
        assertTrue(text.endsWith(" (30 not shown)\n"), text);
    }

    @Test
    void elsewhereALineSaysWhenATrialChanges() {
        LiveTable table = table(false);
        table.changed(snapshot(2, TrialState.RUNNING));
        assertEquals(2, said().lines().count());
        table.changed(snapshot(2, TrialState.RUNNING));
        assertEquals("", said());
        table.changed(snapshot(2, TrialState.COMPLETED));
        assertEquals("trial-0001  completed  eval_loss 2.0 after 1 reports\n", said());
        assertTrue(Files.exists(dir.resolve("out/study.html")));
    }
}
