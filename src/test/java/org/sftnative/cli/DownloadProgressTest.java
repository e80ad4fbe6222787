package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/// What a person sees of a download.
class DownloadProgressTest {
    private static final long MIB = 1 << 20;

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final AtomicLong clock = new AtomicLong();

    private DownloadProgress progress(boolean terminal) {
        return new DownloadProgress(new PrintStream(bytes, true, StandardCharsets.UTF_8), terminal, clock::get);
    }

    private String text() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Test
    void withoutATerminalThereIsALineForEachFileAndEachTenth() {
        try (DownloadProgress progress = progress(false)) {
            progress.planned(2, 100 * MIB);
            for (int i = 0; i < 1000; i++) {
                clock.addAndGet(10_000_000);
                progress.received(MIB / 10);
            }
            progress.finished("model.safetensors", 99 * MIB);
            progress.finished("config.json", MIB);
        }
        List<String> lines = text().lines().toList();
        assertEquals("fetching 2 files, 100.0 MiB", lines.getFirst());
        assertTrue(lines.size() >= 10 && lines.size() <= 13, text());
        assertTrue(lines.get(1).startsWith("10.1 MiB of 100.0 MiB  10.0 MiB/s  ETA 9.0s"), text());
        assertEquals("  config.json  1.0 MiB  (2 of 2)", lines.getLast());
        assertFalse(text().contains("\033"), text());
    }

    @Test
    void aTerminalHasABarThatIsErased() {
        try (DownloadProgress progress = progress(true)) {
            progress.planned(1, 10 * MIB);
            clock.set(1_000_000_000);
            progress.received(5 * MIB);
            progress.received(MIB); // too soon to be drawn again
            progress.finished("x", 10 * MIB);
        }
        assertTrue(text().contains("[##########..........] 5.0 MiB of 10.0 MiB  5.0 MiB/s  ETA 1.0s"), text());
        assertFalse(text().contains("6.0 MiB of"), text());
        assertTrue(text().contains("\r\033[K  x"), text());
    }

    @Test
    void bytesThatAreFetchedAgainAreTakenBack() {
        try (DownloadProgress progress = progress(false)) {
            progress.planned(1, 10 * MIB);
            clock.set(1_000_000_000);
            progress.received(5 * MIB);
            progress.received(-5 * MIB);
            progress.said("x: its SHA-256 is \033[31m");
        }
        assertTrue(text().lines().toList().getLast().startsWith("warning: x: its SHA-256 is "), text());
        assertFalse(text().contains("\033"), text());
    }
}
