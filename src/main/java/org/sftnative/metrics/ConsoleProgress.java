package org.sftnative.metrics;

import java.io.PrintStream;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;
import java.util.function.ToDoubleFunction;

/// What a person sees of a run: what was decided and why, a line for each logged step, and on a terminal a progress
/// line that follows every step. Only alerts (red), warnings (yellow) and the end (green) have colours.
public final class ConsoleProgress implements RunListener {
    private static final String ERASE_LINE = "\r\033[K";
    /// Should the terminal become narrower between two lines: one that wraps cannot be erased.
    private static final String NO_WRAP = "\033[?7l";

    private static final String WRAP = "\033[?7h";
    private static final int BAR = 20;
    /// Columns below which there is no bar.
    private static final int ROOM_FOR_BAR = 60;
    /// Characters of an answer that a line shows.
    private static final int SAMPLE = 60;
    /// A terminal over ssh should not be busy with steps of a millisecond.
    private static final long REDRAW_NANOS = 100_000_000;

    private final PrintStream out;
    private final Screen screen;
    private final LongSupplier nanoTime;
    private final Fitting logged = new Fitting();
    private final Fitting progress = new Fitting();
    private final SmoothedLoss smoothed = new SmoothedLoss();
    private long firstStep;
    private long startNanos;
    private long drawnNanos;
    private long peakBytes;
    private long sampledStep = -1;
    private boolean drawn;

    /// A part of a progress line.
    ///
    /// @param rank the highest are left out first where the line is too long
    private record Part(int rank, String text) {}

    /// Lines of one kind: what one had no room for, later ones leave out too, unless the terminal becomes wider.
    private static final class Fitting {
        private int columns = -1;
        private int ranks;

        /// @param room columns; 0: without limit
        String line(List<Part> parts, int room) {
            if (room != columns) {
                columns = room;
                ranks = parts.size();
            }
            String line = joined(parts);
            while (room > 0 && line.length() > room && ranks > 1) {
                ranks--;
                line = joined(parts);
            }
            return line;
        }

        private String joined(List<Part> parts) {
            return String.join(
                    "  ",
                    parts.stream().filter(p -> p.rank < ranks).map(Part::text).toList());
        }
    }

    /// @param nanoTime a clock: `System::nanoTime`
    public ConsoleProgress(PrintStream out, Screen screen, LongSupplier nanoTime) {
        this.out = out;
        this.screen = screen;
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
            case RunEvent.Alerted alert ->
                line(screen.red("alert") + " at step " + alert.step() + ": " + alert.message());
            case RunEvent.Shared shared -> line(shared(shared));
            case RunEvent.Sampled sample -> sample(sample);
            case RunEvent.Warned warned -> line(screen.yellow("warning") + ": " + warned.message());
            case RunEvent.Stopped stopped ->
                line("stopped after step " + stopped.step() + " of " + stopped.totalSteps()
                        + (stopped.step() == 0 ? "" : "; go on with --resume --output-dir " + stopped.output()));
            case RunEvent.Failed _ -> erase();
            case RunEvent.Finished done -> finish(done);
        }
    }

    private static String shared(RunEvent.Shared shared) {
        DoubleSummaryStatistics rates = statistics(shared, RunEvent.Load::tokensPerSecond);
        DoubleSummaryStatistics waiting = statistics(shared, RunEvent.Load::waiting);
        return Units.format(
                "  ranks: %.0f to %.0f tokens/s each, %.1f%% of the time sending, %.1f%% waiting (at most %.1f%%)",
                rates.getMin(),
                rates.getMax(),
                100 * statistics(shared, RunEvent.Load::sending).getAverage(),
                100 * waiting.getAverage(),
                100 * waiting.getMax());
    }

    private static DoubleSummaryStatistics statistics(RunEvent.Shared shared, ToDoubleFunction<RunEvent.Load> value) {
        return shared.ranks().stream().mapToDouble(value).summaryStatistics();
    }

    /// One answer of each evaluation; the report has all.
    private void sample(RunEvent.Sampled sample) {
        if (sample.step() != sampledStep) {
            sampledStep = sample.step();
            line("answer at step " + sample.step() + ": " + oneLine(sample.answer()) + "  (expected: "
                    + oneLine(sample.expected()) + ")");
        }
    }

    /// What a model says must not move the cursor.
    private static String oneLine(String text) {
        String flat = text.replaceAll("[\\s\\p{Cc}\\p{Cf}]+", " ").strip();
        return flat.codePointCount(0, flat.length()) > SAMPLE
                ? flat.substring(0, flat.offsetByCodePoints(0, SAMPLE)) + ".."
                : flat;
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
            String name = entry.getKey() + " ".repeat(width - entry.getKey().length() + 2);
            line(name + wrapped(entry.getValue(), width + 2));
        }
        if (firstStep > 0) {
            line("going on after step " + firstStep + " of " + started.totalSteps());
        }
    }

    /// A text that goes on below itself where a terminal is too narrow.
    private String wrapped(String text, int indent) {
        int room = screen.columns().getAsInt() - indent;
        if (room <= 0) {
            return text;
        }
        StringBuilder all = new StringBuilder();
        int used = 0;
        for (String word : text.split(" ")) {
            if (used > 0 && used + 1 + word.length() > room) {
                all.append('\n').append(" ".repeat(indent));
                used = 0;
            } else if (used > 0) {
                all.append(' ');
                used++;
            }
            all.append(word);
            used += word.length();
        }
        return all.toString();
    }

    private void step(RunEvent.StepDone step) {
        long now = nanoTime.getAsLong();
        peakBytes = Math.max(peakBytes, step.peakBytes());
        smoothed.add(step);
        int columns = screen.columns().getAsInt();
        if (step.logged()) {
            line(logged.line(parts(step, Units.format("loss %.4f", step.loss()), now), columns));
        }
        if (screen.terminal() && step.step() < step.totalSteps() && now - drawnNanos >= REDRAW_NANOS) {
            String bar = columns > 0 && columns < ROOM_FOR_BAR ? "" : bar(step);
            String loss = Units.format("smoothed loss %.4f", smoothed.value());
            // the last column stays free: a terminal may wrap after it
            int room = columns == 0 ? 0 : Math.max(1, columns - 1 - bar.length());
            out.print(ERASE_LINE + NO_WRAP + bar + progress.line(parts(step, loss, now), room) + WRAP);
            out.flush();
            drawn = true;
            drawnNanos = now;
        }
    }

    private static String bar(RunEvent.StepDone step) {
        int filled = (int) (BAR * step.step() / Math.max(1, step.totalSteps()));
        return "[" + "#".repeat(filled) + ".".repeat(BAR - filled) + "] ";
    }

    private List<Part> parts(RunEvent.StepDone step, String loss, long now) {
        double perStep = (now - startNanos) / 1e9 / Math.max(1, step.step() - firstStep);
        return List.of(
                new Part(0, "step " + step.step() + "/" + step.totalSteps()),
                new Part(4, Units.format("epoch %.2f", step.epoch())),
                new Part(1, loss),
                new Part(6, Units.format("lr %.2e", step.learningRate())),
                new Part(5, Units.format("grad norm %.3f", step.gradNorm())),
                new Part(3, Units.tokensPerSecond(step.tokensPerSecond())),
                new Part(7, "peak " + Units.bytes(peakBytes)),
                new Part(2, Units.duration(perStep * (step.totalSteps() - step.step())) + " left"));
    }

    private void finish(RunEvent.Finished done) {
        line(screen.green("done") + ": " + done.step() + " steps, " + Units.count(done.tokens()) + " tokens in "
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
