package org.sftnative.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import org.sftnative.io.AtomicFiles;
import org.sftnative.tune.study.Study;
import org.sftnative.tune.study.StudyPage;
import org.sftnative.tune.study.StudyResults;
import org.sftnative.tune.study.StudyStore;
import org.sftnative.tune.study.StudyText;
import org.sftnative.tune.study.StudyWorker;
import org.sftnative.tune.study.TrialRow;

/// A study while it is being worked on: on a terminal a table that is drawn over, else a line for each trial that
/// begins or ends; and the study's page, every now and then.
final class LiveTable implements StudyWorker.Watcher {
    private static final int ROWS = 20;
    private static final long PAGE_NANOS = 15_000_000_000L;

    private final Study study;
    private final PrintStream out;
    private final boolean terminal;
    private final int width;
    private final Map<Integer, String> told = new HashMap<>();
    private int drawn;
    private long pageNanos = System.nanoTime() - PAGE_NANOS;

    LiveTable(Study study, PrintStream out, boolean terminal) {
        this.study = study;
        this.out = out;
        this.terminal = terminal;
        int columns = 0;
        try {
            columns = Integer.parseInt(System.getenv().getOrDefault("COLUMNS", "0"));
        } catch (NumberFormatException e) {
            // not a number: the usual
        }
        this.width = columns > 20 ? columns : 120;
    }

    @Override
    public void said(String line) {
        erase();
        out.println(Visible.of(line));
    }

    @Override
    public void changed(StudyStore.Snapshot snapshot) {
        StudyResults results = study.results(snapshot);
        if (terminal) {
            draw(results);
        } else {
            lines(results);
        }
        long now = System.nanoTime();
        if (now - pageNanos > PAGE_NANOS) {
            pageNanos = now;
            page(results);
        }
    }

    /// Writes the page; the last time too.
    Path page(StudyResults results) {
        Path page = study.output().resolve("study.html");
        AtomicFiles.writeText(page, StudyPage.of(results));
        return page;
    }

    private void lines(StudyResults results) {
        for (TrialRow row : results.rows()) {
            String state = row.state() + (row.crashes() > 0 ? ", crashed " + row.crashes() + " times" : "");
            if (state.equals(told.put(row.number(), state))) {
                continue;
            }
            String last = row.reports().isEmpty()
                    ? ""
                    : "  " + results.metric() + " " + row.reports().getLast().metric() + " after "
                            + row.reports().size() + " reports";
            out.println(row.name() + "  " + state + (row.reports().isEmpty() ? "  " + row.values() : last));
        }
    }

    /// The best, what runs, and the newest of the others.
    private void draw(StudyResults results) {
        TreeSet<Integer> shown = new TreeSet<>();
        results.best().ifPresent(best -> shown.add(best.number()));
        results.rows().stream().filter(row -> !row.state().ended()).limit(ROWS).forEach(row -> shown.add(row.number()));
        for (int i = results.rows().size() - 1; i >= 0 && shown.size() < ROWS; i--) {
            shown.add(results.rows().get(i).number());
        }
        List<TrialRow> rows = results.rows().stream()
                .filter(row -> shown.contains(row.number()))
                .toList();
        List<String> lines = new ArrayList<>(StudyText.table(results, rows, width));
        int hidden = results.rows().size() - rows.size();
        lines.add(results.summary() + (hidden > 0 ? " (" + hidden + " not shown)" : ""));
        erase();
        lines.forEach(out::println);
        out.flush();
        drawn = lines.size();
    }

    private void erase() {
        if (drawn > 0) {
            out.print("\033[" + drawn + "A\033[J");
            drawn = 0;
        }
    }

    /// What is left to say of a study.
    void end(StudyResults results, Optional<Path> model) {
        erase();
        out.print(StudyText.show(results, model.map(Path::toString)));
        Path page = page(results);
        results.best()
                .ifPresent(_ -> out.println("\ntrain the best settings: sft-native train --config "
                        + study.output().resolve("best.yaml")));
        out.println("the study's page is " + page);
    }
}
