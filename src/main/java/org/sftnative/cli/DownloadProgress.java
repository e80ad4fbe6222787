package org.sftnative.cli;

import java.io.PrintStream;
import java.util.function.LongSupplier;
import org.sftnative.io.HubListener;
import org.sftnative.metrics.Units;

/// What a person sees of a download: a bar on a terminal, elsewhere a line for each file and each
/// tenth of the whole.
final class DownloadProgress implements HubListener, AutoCloseable {
    private static final String ERASE_LINE = "\r\033[K";
    private static final int BAR = 20;
    private static final long REDRAW_NANOS = 100_000_000;

    private final PrintStream to;
    private final boolean terminal;
    private final LongSupplier nanoTime;
    private int files;
    private int done;
    private long total;
    private long received;
    private long started;
    private long drawnAt;
    private boolean drawn;
    private int tenths;

    /// @param terminal whether `to` can erase a line
    /// @param nanoTime a clock: `System::nanoTime`
    DownloadProgress(PrintStream to, boolean terminal, LongSupplier nanoTime) {
        this.to = to;
        this.terminal = terminal;
        this.nanoTime = nanoTime;
    }

    @Override
    public synchronized void planned(int moreFiles, long bytes) {
        if (files == 0) {
            started = nanoTime.getAsLong();
            drawnAt = started;
        }
        files += moreFiles;
        total += bytes;
        tenths = (int) (10 * received / Math.max(1, total));
        line("fetching " + moreFiles + (moreFiles == 1 ? " file, " : " files, ") + Units.bytes(bytes));
    }

    @Override
    public synchronized void received(long bytes) {
        received += bytes;
        long now = nanoTime.getAsLong();
        int reached = (int) (10 * received / Math.max(1, total));
        if (terminal && now - drawnAt >= REDRAW_NANOS) {
            int filled = (int) Math.clamp(BAR * received / Math.max(1, total), 0, BAR);
            to.print(ERASE_LINE + "[" + "#".repeat(filled) + ".".repeat(BAR - filled) + "] " + numbers(now));
            to.flush();
            drawn = true;
            drawnAt = now;
        } else if (!terminal && reached > tenths && reached < 10) {
            line(numbers(now));
        }
        tenths = Math.max(tenths, reached);
    }

    private String numbers(long now) {
        double seconds = (now - started) / 1e9;
        double rate = seconds > 0 ? received / seconds : 0;
        return Units.bytes(received) + " of " + Units.bytes(total) + "  " + Units.bytes(Math.round(rate)) + "/s  ETA "
                + Units.duration(rate > 0 ? (total - received) / rate : Double.NaN);
    }

    @Override
    public synchronized void finished(String file, long bytes) {
        done++;
        line("  " + Visible.of(file) + "  " + Units.bytes(bytes) + "  (" + done + " of " + files + ")");
    }

    @Override
    public synchronized void said(String message) {
        line("warning: " + Visible.of(message));
    }

    private void line(String text) {
        erase();
        to.println(text);
    }

    private void erase() {
        if (drawn) {
            to.print(ERASE_LINE);
            drawn = false;
        }
    }

    /// Leaves the cursor on a fresh line.
    @Override
    public synchronized void close() {
        erase();
        to.flush();
    }
}
