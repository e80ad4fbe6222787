package org.sftnative.metrics;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/// `report.html`, written anew at every evaluation and at the end, from the files that [MetricsFile] and [EventsFile]
/// wrote: it must be told after them.
public final class ReportFile implements RunListener {
    private final Path output;
    private final Consumer<String> complain;
    private boolean broken;

    /// @param output the run's output directory
    /// @param complain told, once, that the report cannot be written; the run goes on
    public ReportFile(Path output, Consumer<String> complain) {
        this.output = output;
        this.complain = complain;
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.Evaluated _, RunEvent.Stopped _, RunEvent.Failed _, RunEvent.Finished _ -> write();
            default -> {}
        }
    }

    private void write() {
        try {
            Optional<RunHistory> run = RunHistory.read(output);
            if (run.isPresent()) {
                write(output.resolve("report.html"), List.of(run.get()));
            }
        } catch (IOException | UncheckedIOException e) {
            if (!broken) {
                broken = true;
                complain.accept("the report is not up to date: " + e.getMessage());
            }
        }
    }

    /// Writes the page of some runs; who reads the file sees the old page or the new one.
    public static void write(Path file, List<RunHistory> runs) throws IOException {
        Path beside = file.resolveSibling(file.getFileName() + ".tmp");
        Files.writeString(beside, ReportPage.of(runs));
        Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
}
