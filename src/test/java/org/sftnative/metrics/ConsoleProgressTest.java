package org.sftnative.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class ConsoleProgressTest {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final AtomicLong nanos = new AtomicLong();

    @Test
    void aPlainLogHasLoggedStepsOnlyAndNoControlCharacters() {
        ConsoleProgress progress = progress(false);
        Map<String, String> summary = new LinkedHashMap<>();
        summary.put("precision", "fp32 (device cpu)");
        summary.put("micro_batch_tokens", "4096 (default)");
        progress.on(new RunEvent.Started(0, 366, summary));
        nanos.set(20_000_000_000L);
        progress.on(step(9, 366, false));
        progress.on(step(10, 366, true));
        progress.on(new RunEvent.Evaluated(10, 0.08, 1.5, 12_345, 12.34));
        progress.on(new RunEvent.Saved(10, Path.of("out/checkpoint-10"), 0.5));
        progress.on(new RunEvent.Warned("3 rows were cut"));
        progress.on(new RunEvent.Finished(366, 1_234_567, 100, 1.01234, 3L << 30, Path.of("out")));
        progress.close();
        assertEquals("""
                precision           fp32 (device cpu)
                micro_batch_tokens  4096 (default)
                step 10/366  epoch 0.08  loss 1.2346  lr 1.98e-05  grad norm 1.500  3,530 tok/s  peak 3.0 GiB  11m52s left
                eval at step 10: loss 1.5000  12.3k label tokens  12.3s
                saved out/checkpoint-10 (500ms)
                warning: 3 rows were cut
                done: 366 steps, 1.23M tokens in 1m40s (12,346 tok/s), train loss 1.0123, peak memory 3.0 GiB
                the model is in out
                """, text());
    }

    @Test
    void aTerminalShowsEveryStepAndKeepsTheLoggedOnes() {
        ConsoleProgress progress = progress(true);
        progress.on(new RunEvent.Started(0, 4, Map.of()));
        nanos.addAndGet(1_000_000_000);
        progress.on(step(1, 4, false));
        nanos.addAndGet(1_000_000); // too soon to draw again
        progress.on(step(2, 4, false));
        nanos.addAndGet(1_000_000_000);
        progress.on(step(3, 4, true));
        progress.close();
        String[] drawn = text().split("\r\033\\[K", -1);
        assertEquals(5, drawn.length, text());
        assertTrue(drawn[1].startsWith("\033[?7l[#####...............] step 1/4 "), drawn[1]);
        assertTrue(drawn[2].startsWith("step 3/4 ") && drawn[2].endsWith("\n"), drawn[2]);
        assertTrue(
                drawn[3].startsWith("\033[?7l[###############.....] step 3/4 ") && drawn[3].endsWith("\033[?7h"),
                drawn[3]);
        assertEquals("", drawn[4]); // closed: the line is left empty
    }

    @Test
    void etaCountsOnlyTheStepsOfThisProcess() {
        ConsoleProgress progress = progress(false);
        progress.on(new RunEvent.Started(100, 110, Map.of()));
        nanos.set(10_000_000_000L);
        progress.on(step(105, 110, true));
        assertTrue(text().startsWith("going on after step 100 of 110\n"), text());
        assertTrue(text().contains("  10.0s left"), text()); // 5 steps took 10 s, 5 are left
    }

    @Test
    void noLineIsWiderThanTheTerminal() {
        for (int columns : new int[] {20, 40, 60, 80, 100, 120}) {
            bytes.reset();
            ConsoleProgress progress = progress(new Screen(true, false, () -> columns));
            progress.on(new RunEvent.Started(
                    0, 366, Map.of("model", "words ".repeat(40).strip())));
            for (int step = 1; step <= 20; step++) {
                nanos.addAndGet(1_000_000_000);
                progress.on(step(step, 366, step % 10 == 0));
            }
            String shown = text().replaceAll("\033\\[[?0-9]*[A-Za-z]", "");
            for (String line : shown.split("[\r\n]")) {
                assertTrue(line.length() <= Math.max(columns, 27), columns + ": '" + line + "'");
            }
            assertTrue(shown.contains("step 20/366"), shown); // the step is never left out
        }
    }

    @Test
    void onlyAlertsWarningsAndTheEndAreColoured() {
        ConsoleProgress progress = progress(new Screen(true, true, () -> 80));
        progress.on(new RunEvent.Started(0, 10, Map.of("model", "x")));
        progress.on(new RunEvent.Alerted(1, "loss_spike", "high"));
        progress.on(new RunEvent.Warned("odd"));
        progress.on(new RunEvent.Evaluated(1, 0.1, 1, 1, 1));
        progress.on(new RunEvent.Finished(10, 1, 1, 1, 1, Path.of("out")));
        assertEquals(3, text().split("\033\\[3[0-9]m", -1).length - 1, text());
        assertTrue(text().contains("\033[31malert\033[0m at step 1: high\n\033[33mwarning\033[0m: odd\n"), text());
    }

    @Test
    void whatAModelSaysDoesNotMoveTheCursor() {
        ConsoleProgress progress = progress(false);
        progress.on(new RunEvent.Sampled(3, "q", "ex\u001b[2Jpected", "an\r\nswer\u0007"));
        progress.on(new RunEvent.Sampled(3, "second question", "b", "c"));
        assertEquals("answer at step 3: an swer  (expected: ex [2Jpected)\n", text());
    }

    @Test
    void theProgressLineShowsTheSmoothedLossOfSteps() {
        SmoothedLoss smoothed = new SmoothedLoss();
        // sums since the last logged step: 4 tokens of loss 2, then 4 of loss 1, then a fresh sum of loss 3
        smoothed.add(new RunEvent.StepDone(1, 9, 0, 2, 1, 0, 4, 4, 1, 0, false));
        smoothed.add(new RunEvent.StepDone(2, 9, 0, 1.5, 1, 0, 8, 8, 1, 0, true));
        smoothed.add(new RunEvent.StepDone(3, 9, 0, 3, 1, 0, 4, 4, 1, 0, false));
        double mean = (0.81 * 0.1 * 2 + 0.9 * 0.1 * 1 + 0.1 * 3) / (0.81 * 0.1 + 0.9 * 0.1 + 0.1);
        assertEquals(mean, smoothed.value(), 1e-12);
    }

    @Test
    void aLossThatIsNotANumberIsShown() {
        ConsoleProgress progress = progress(false);
        progress.on(new RunEvent.Started(0, 10, Map.of()));
        progress.on(new RunEvent.StepDone(1, 10, 0, Double.NaN, Double.NaN, 0, 1, 1, 1, 1, true));
        assertTrue(text().contains("loss NaN"), text());
    }

    @Test
    void unitsAreHuman() {
        assertEquals("1023 B", Units.bytes(1023));
        assertEquals("1.5 KiB", Units.bytes(1536));
        assertEquals("61.2 GiB", Units.bytes(65_712_999_629L));
        assertEquals("9999", Units.count(9999));
        assertEquals("6.74B", Units.count(6_738_415_616L));
        assertEquals("59.4s", Units.duration(59.4));
        assertEquals("1m00s", Units.duration(59.6));
        assertEquals("2h07m", Units.duration(7640));
        assertEquals("1d01h", Units.duration(90_000));
        assertEquals("?", Units.duration(Double.NaN));
    }

    private ConsoleProgress progress(boolean terminal) {
        return progress(terminal ? new Screen(true, false, () -> 0) : Screen.FILE);
    }

    private ConsoleProgress progress(Screen screen) {
        return new ConsoleProgress(new PrintStream(bytes, true, StandardCharsets.UTF_8), screen, nanos::get);
    }

    private String text() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    private static RunEvent.StepDone step(long step, long total, boolean logged) {
        return new RunEvent.StepDone(step, total, 0.08, 1.23456, 1.5, 1.98e-5, 35_300, 100, 10, 3L << 30, logged);
    }
}
