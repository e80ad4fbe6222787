package org.sftnative.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.sftnative.InputException;
import org.sftnative.config.PageSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.PngCharts;
import org.sftnative.metrics.ReportFile;
import org.sftnative.metrics.RunHistory;

/// `report OUT...`: the page of a run, or of several side by side, and its charts as pictures.
final class ReportCommand {
    static final SettingsSchema<PageSettings> REPORT = SettingsSchema.of(PageSettings.class);

    private ReportCommand() {}

    static void run(PageSettings settings, PrintStream out) {
        List<RunHistory> runs =
                settings.runs().stream().map(ReportCommand::read).toList();
        Path page = settings.html()
                .orElseGet(() -> runs.size() == 1
                        ? settings.runs().getFirst().resolve("report.html")
                        : Path.of("comparison.html"));
        try {
            ReportFile.write(page, runs);
        } catch (IOException e) {
            throw new InputException(page + " cannot be written: " + e + "\n  --html names another file", e);
        }
        out.println("the page is " + page);
        settings.png().ifPresent(folder -> {
            try {
                PngCharts.write(runs, folder).forEach(out::println);
            } catch (IOException e) {
                throw new InputException(folder + " cannot be written: " + e + "\n  --png names a directory", e);
            }
        });
    }

    static RunHistory read(Path output) {
        if (!Files.isDirectory(output)) {
            throw new InputException(output + " is no directory\n  give the --output-dir of a run");
        }
        return RunHistory.read(output)
                .orElseThrow(
                        () -> new InputException(output + " has no metrics.jsonl or events.jsonl with anything in it"
                                + "\n  give the --output-dir of a run that has begun"));
    }
}
