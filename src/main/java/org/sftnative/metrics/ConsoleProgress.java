package org.sftnative.metrics;

import java.io.PrintStream;
import java.util.Map;
import java.util.function.LongSupplier;

/// What a person sees of a run: what was decided and why, a line for each logged step, and on a terminal a progress
/// line that follows every step.
public final class ConsoleProgress implements RunListener {
    private static final String ERASE_LINE = "\r\033[K";
    /// A line that wraps cannot be erased; a narrow terminal cuts it off instead.
    private static final String NO_WRAP = "\033[?7l";

    private static final String WRAP = "\033[?7h";
    private static final int BAR = 20;
    /// Characters of an answer that a line shows.
    private static final int SAMPLE = 60;
    /// A terminal over ssh should not be busy with steps of a millisecond.
    private static final long REDRAW_NANOS = 100_000_000;

    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier nanoTime;
    private long firstStep;
    private long startNanos;
    private long drawnNanos;
    private boolean drawn;

    /// @param terminal whether `out` is a terminal, which can erase a line
    /// @param nanoTime a clock: `System::nanoTime`
    public ConsoleProgress(PrintStream out, boolean terminal, LongSupplier nanoTime) {
        this.out = out;
        this.terminal = terminal;
        this.nanoTime = nanoTime;
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.Started started -> start(started);
            case RunEvent.StepDone step -> step(step);
            case RunEvent.Evaluated e ->
                line("eval at step " + e.step() + Units.format(": loss %.4f  ", e.loss()) + Units.count(e.labelTokens())
                        + " label tokens  " + Units.duration(e.seconds()));
            case RunEvent.Saved saved ->
                line("saved " + saved.directory() + " (" + Units.duration(saved.seconds()) + ")");
            case RunEvent.Alerted alert -> line("alert at step " + alert.step() + ": " + alert.message());
            case RunEvent.Sampled sample ->
                line("sample at step " + sample.step() + ": " + oneLine(sample.answer()) + "  (expected: "
                        + oneLine(sample.expected()) + ")");
            case RunEvent.Warned warned -> line("warning: " + warned.message());
            case RunEvent.Stopped stopped ->
                line("stopped after step " + stopped.step() + " of " + stopped.totalSteps()
                        + (stopped.step() == 0 ? "" : "; go on with --resume --output-dir " + stopped.output()));
            case RunEvent.Finished done -> finish(done);
        }
    }

    private static String oneLine(String text) {
        String flat = text.strip().replaceAll("\\s+", " ");
        return flat.length() > SAMPLE ? flat.substring(0, SAMPLE)
                + ".." : flat;
    }

    /// Leaves the cursor on a fresh line, whatever ended the run.
    @Override
    public void close() {
        erase();
        out.flush();
    }

    private void start(RunEvent.Started started) {
        firstStep = started.firstStep();
        startNanos = nanoTime.getAsLong();
        drawnNanos = startNanos - REDRAW_NANOS;
        int width = started.summary().keySet().stream()
                .mapToInt(String::length)
                .max()
                .orElse(0);
        for (Map.Entry<String, String> entry : started.summary().entrySet()) {
            line(entry.getKey() + " ".repeat(width - entry.getKey().length() + 2) + entry.getValue());
        }
        if (firstStep > 0) {
            line("going on after step " + firstStep + " of " + started.totalSteps());
        }
    }

    private void step(RunEvent.StepDone step) {
        long now = nanoTime.getAsLong();
        if (step.logged()) {
            line(numbers(step, now));
        }
        if (terminal && step.step() < step.totalSteps() && now - drawnNanos >= REDRAW_NANOS) {
            int filled = (int) (BAR * step.step() / Math.max(1, step.totalSteps()));
            String bar = "[" + "#".repeat(filled) + ".".repeat(BAR - filled) + "] ";
            out.print(ERASE_LINE + NO_WRAP + bar + numbers(step, now) + WRAP);
            out.flush();
            drawn = true;
            drawnNanos = now;
        }
    }

    private String numbers(RunEvent.StepDone step, long now) {
        double perStep = (now - startNanos) / 1e9 / Math.max(1, step.step() - firstStep);
        return Units.format(
                "step %d/%d  epoch %.2f  loss %.4f  ETA %s  %s  lr %.2e  grad norm %.3f",
                step.step(),
                step.totalSteps(),
                step.epoch(),
                step.loss(),
                Units.duration(perStep * (step.totalSteps() - step.step())),
                Units.tokensPerSecond(step.tokensPerSecond()),
                step.learningRate(),
                step.gradNorm());
    }

    private void finish(RunEvent.Finished done) {
        line("done: " + done.step() + " steps, " + Units.count(done.tokens()) + " tokens in "
                + Units.duration(done.seconds()) + " ("
                + Units.tokensPerSecond(done.seconds() > 0 ? done.tokens() / done.seconds() : 0)
                + Units.format("), train loss %.4f, peak memory ", done.trainLoss()) + Units.bytes(done.peakBytes()));
        line("the model is in " + done.model());
    }

    private void line(String text) {
        erase();
        out.println(text);
    }

    private void erase() {
        if (drawn) {
            out.print(ERASE_LINE);
            drawn = false;
        }
    }
}
