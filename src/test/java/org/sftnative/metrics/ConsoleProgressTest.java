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
                step 10/366  epoch 0.08  loss 1.2346  ETA 11m52s  3,530 tok/s  lr 1.98e-05  grad norm 1.500
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
        assertTrue(text().contains("ETA 10.0s "), text()); // 5 steps took 10 s, 5 are left
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
        return new ConsoleProgress(new PrintStream(bytes, true, StandardCharsets.UTF_8), terminal, nanos::get);
    }

    private String text() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    private static RunEvent.StepDone step(long step, long total, boolean logged) {
        return new RunEvent.StepDone(step, total, 0.08, 1.23456, 1.5, 1.98e-5, 35_300, 100, 10, 1, logged);
    }
}
