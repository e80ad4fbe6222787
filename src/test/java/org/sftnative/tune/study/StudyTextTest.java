package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.support.Chromium;
import org.sftnative.support.InMemory;
import org.sftnative.tune.Decision;
import org.sftnative.tune.TrialState;

/// A study as a person sees it: text, CSV, page.
class StudyTextTest {
    @TempDir(factory = InMemory.class)
    Path dir;

    private static final Map<String, String> SEARCH = Map.ofEntries(
            Map.entry("metric", "eval_loss"),
            Map.entry("mode", "min"),
            Map.entry("searcher", "random"),
            Map.entry("scheduler", "asha"),
            Map.entry("time_attr", "epoch"),
            Map.entry("grace_period", "1"),
            Map.entry("reduction_factor", "2"),
            Map.entry("max_t", "4"),
            Map.entry("brackets", "1"),
            Map.entry("stop_last_trials", "true"),
            Map.entry("seed", "1"));

    /// Sixteen trials: the loss is a valley in the learning rate; every third was stopped after an epoch, one failed,
    /// one found no number, one runs.
    private static StudyResults study() {
        List<TrialRow> rows = new ArrayList<>();
        for (int k = 0; k < 16; k++) {
            Map<String, Object> values = new LinkedHashMap<>();
            values.put("learning_rate", Math.pow(10, -5 + 0.25 * ((7 * k) % 16)));
            values.put("num_train_epochs", 2.0 + k % 3);
            values.put("lr_scheduler_type", k == 4 ? "<b>none</b>" : k % 2 == 0 ? "cosine" : "linear");
            if (k % 2 == 0) {
                values.put("save_steps", (long) k);
            }
            TrialState state = k == 13
                    ? TrialState.FAILED
                    : k == 15 ? TrialState.RUNNING : k % 3 == 2 ? TrialState.STOPPED : TrialState.COMPLETED;
            List<TrialRow.Measured> reports = new ArrayList<>();
            for (int epoch = 1; epoch <= (state == TrialState.STOPPED ? 1 : 2); epoch++) {
                double loss = k == 6
                        ? Double.NaN
                        : 2 + Math.pow((7 * k) % 16 - 6, 2) / 50 + 1.0 / epoch + (state == TrialState.STOPPED ? 1 : 0);
                reports.add(new TrialRow.Measured(
                        epoch, epoch, loss, state == TrialState.STOPPED ? Decision.STOP : Decision.CONTINUE));
            }
            rows.add(new TrialRow(
                    k,
                    values,
                    state,
                    0,
                    state == TrialState.FAILED ? 2 : 0,
                    "w",
                    state == TrialState.FAILED ? "exit status 1: error: no \"room\", </script>" : "",
                    61.5 + k,
                    reports));
        }
        return new StudyResults(
                new StudyDefinition(new TreeMap<>(), new TreeMap<>(), "", "", new TreeMap<>(SEARCH), ".", "out"),
                20,
                rows);
    }

    @Test
    void showHasTheBestWhatIsImportantAndEveryTrial() {
        StudyResults study = study();
        int best = study.best().orElseThrow().number();
        assertEquals(10, best); // 70 mod 16 = 6: the bottom of the valley
        String text = StudyText.show(study, Optional.of("out/trial-0010"));
        assertTrue(text.startsWith("16 of 20 trials: 1 running, ") && text.contains(", 1 failed"), text);
        assertTrue(text.contains("\nbest: trial-0010, eval_loss 2.5000\n  learning_rate: 3.1"), text);
        assertTrue(text.contains("\n  the model is in out/trial-0010\n"), text);
        assertTrue(text.matches("(?s).*\nimportance [^\n]*\n(  \\w+ +\\d+%(  #+)?\n){4}\n.*"), text);
        List<String> lines = text.lines().toList();
        int head = lines.indexOf(lines.stream()
                .filter(line -> line.startsWith("trial"))
                .findFirst()
                .orElseThrow());
        assertTrue(
                lines.get(head)
                        .matches("trial +learning_rate +num_train_epochs +lr_scheduler_type +save_steps +epoch"
                                + " +eval_loss +state +time"),
                lines.get(head));
        assertTrue(lines.get(head + 1 + 10).startsWith("0010* "), text);
        assertTrue(lines.get(head + 1 + 13).matches("0013 .* failed, 2 crashed .*"), text);
        assertTrue(lines.get(head + 1 + 6).contains(" NaN "), text);
        assertTrue(text.endsWith("trial-0013: exit status 1: error: no \"room\", </script>\n"), text);
        for (String line : StudyText.table(study, study.rows(), 40)) {
            assertTrue(line.length() <= 40, line);
        }
    }

    @Test
    void csvHasALineForEachTrialAndQuotesWhatNeedsIt() {
        List<String> lines = List.of(StudyText.csv(study()).split("\r\n"));
        assertEquals(17, lines.size());
        assertEquals(
                "trial,state,learning_rate,num_train_epochs,lr_scheduler_type,save_steps,epoch,eval_loss,reports,"
                        + "crashes,seconds,why",
                lines.getFirst());
        assertTrue(lines.get(14).endsWith(",\"exit status 1: error: no \"\"room\"\", </script>\""), lines.get(14));
        assertTrue(lines.get(1 + 1).contains(",linear,,"), lines.get(2)); // a setting that it does not have
    }

    @Test
    void thePageDrawsHistoryCurvesParallelCoordinatesSlicesAndRungs() throws Exception {
        Path page = Files.writeString(dir.resolve("study.html"), StudyPage.of(study()));
        Optional<Chromium> found = Chromium.start();
        assumeTrue(found.isPresent(), "no chromium");
        try (Chromium browser = found.get()) {
            browser.open(page.toUri().toString(), 1200, 3600);
            browser.await("document.querySelectorAll('.chart canvas').length === 8"); // 4 charts, 4 slices
            assertEquals("17", browser.evaluate("document.querySelectorAll('#trials tr').length"));
            assertEquals("13", browser.evaluate("charts[0].getOption().series[0].data.length")); // those with a value
            assertEquals("13", browser.evaluate("charts[1].getOption().series[0].data.length"));
            String bests = browser.evaluate("JSON.stringify(charts[0].getOption().series[1].data.map(p => p[1]))");
            assertTrue(bests.endsWith("2.5,2.5,2.5,2.5]"), bests);
            assertEquals("log", browser.evaluate("charts[2].getOption().xAxis[0].type"));
            assertTrue(browser.evaluate("document.getElementById('importance').textContent")
                    .contains("learning_rate"));
            assertFalse(browser.evaluate("document.body.innerHTML").contains("<b>none</b>"));
            assertEquals(
                    List.of(),
                    browser.requests().stream()
                            .filter(a -> !a.startsWith("file:") && !a.startsWith("data:") && !a.equals("about:blank"))
                            .toList());
            assertEquals(List.of(), browser.complaints());
        }
    }
}
