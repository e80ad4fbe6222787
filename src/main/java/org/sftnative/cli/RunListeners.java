package org.sftnative.cli;

import java.io.PrintStream;
import java.net.URI;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.sftnative.config.MonitorSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.metrics.ConsoleProgress;
import org.sftnative.metrics.EventsFile;
import org.sftnative.metrics.JsonLines;
import org.sftnative.metrics.MetricsFile;
import org.sftnative.metrics.Monitor;
import org.sftnative.metrics.ReportFile;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.metrics.Screen;
import org.sftnative.metrics.TensorBoardFile;
import org.sftnative.metrics.Webhook;
import org.sftnative.web.LivePage;

/// Whoever hears of a run that the command line starts: the console, the files of its output directory, the live page,
/// the address for alerts, and the monitor, which tells the others what it sees.
final class RunListeners implements RunListener {
    private final List<AutoCloseable> open = new ArrayList<>();
    private final List<RunListener> all = new ArrayList<>();
    private boolean started;
    private boolean stopped;

    /// @throws org.sftnative.InputException if the live page cannot be served
    RunListeners(RunSettings settings, PrintStream out, PrintStream err, Screen screen) {
        MonitorSettings monitor = settings.monitor();
        Path output = settings.training().outputDir();
        Consumer<String> complain = problem -> err.println("warning: " + problem);
        monitor.dashboard().ifPresent(port -> {
            LivePage page = opened(new LivePage(output, monitor.dashboardHost(), port));
            // with --json and --quiet, standard output is for what they say
            (monitor.json() || monitor.quiet() ? err : out).println("the run is shown at " + page.address());
        });
        all.add(console(monitor, out, screen));
        all.add(new MetricsFile(output.resolve("metrics.jsonl"), complain));
        all.add(new EventsFile(output.resolve("events.jsonl"), Clock.systemUTC(), complain));
        all.add(new TensorBoardFile(output.resolve("runs"), Clock.systemUTC(), complain));
        monitor.alertUrl().ifPresent(url -> all.add(opened(new Webhook(URI.create(url), name(output), complain))));
        all.add(new ReportFile(output, complain)); // after those whose files it reads
        List<RunListener> others = List.copyOf(all);
        all.add(new Monitor(alert -> others.forEach(listener -> listener.on(alert))));
    }

    private RunListener console(MonitorSettings monitor, PrintStream out, Screen screen) {
        if (monitor.json()) {
            return new JsonLines(out);
        }
        RunListener console = new ConsoleProgress(out, screen, System::nanoTime);
        open.add(console::close);
        return monitor.quiet() ? problemsOnly(console) : console;
    }

    private static RunListener problemsOnly(RunListener console) {
        return event -> {
            if (event instanceof RunEvent.Warned || event instanceof RunEvent.Alerted) {
                console.on(event);
            }
        };
    }

    private <T extends AutoCloseable> T opened(T listener) {
        open.add(listener);
        return listener;
    }

    private static String name(Path output) {
        return output.toAbsolutePath().normalize().getFileName().toString();
    }

    @Override
    public void on(RunEvent event) {
        started |= event instanceof RunEvent.Started;
        stopped |= event instanceof RunEvent.Stopped;
        all.forEach(listener -> listener.on(event));
    }

    /// Tells that the run failed, if it had begun.
    void failed(Throwable why) {
        if (started) {
            String message = why.getMessage() == null ? why.toString() : why.getMessage();
            on(new RunEvent.Failed(message.lines().findFirst().orElse("")));
        }
    }

    /// Whether the run was asked to stop, and did.
    boolean stopped() {
        return stopped;
    }

    @Override
    public void close() {
        for (AutoCloseable each : open.reversed()) {
            try {
                each.close();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
