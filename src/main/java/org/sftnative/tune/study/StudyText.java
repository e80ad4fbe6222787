package org.sftnative.tune.study;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.sftnative.metrics.Units;

/// A study as lines of text.
public final class StudyText {
    private StudyText() {}

    /// What `tune show` prints: the best, what is important, all trials.
    public static String show(StudyResults study, Optional<String> model) {
        StringBuilder out = new StringBuilder(study.summary() + "\n\n");
        study.best().ifPresent(best -> {
            out.append("best: " + best.name() + ", " + study.metric() + " "
                    + number(best.value().orElseThrow()) + "\n");
            best.values().forEach((name, value) -> out.append("  " + name + ": " + value + "\n"));
            model.ifPresent(path -> out.append("  the model is in " + path + "\n"));
            out.append("\n");
        });
        Map<String, Double> importance = study.importance();
        if (!importance.isEmpty()) {
            out.append("importance (part of the trials' differences that a setting explains on its own):\n");
            int width =
                    importance.keySet().stream().mapToInt(String::length).max().orElse(0);
            importance.forEach((setting, share) -> {
                String bar = "#".repeat((int) Math.round(20 * share));
                String line = String.format(Locale.ROOT, "  %-" + width + "s  %3.0f%%  %s", setting, 100 * share, bar);
                out.append(line.stripTrailing()).append('\n');
            });
            out.append("\n");
        }
        table(study, study.rows(), Integer.MAX_VALUE)
                .forEach(line -> out.append(line).append('\n'));
        study.rows().stream()
                .filter(row -> !row.why().isEmpty())
                .forEach(row -> out.append("\n" + row.name() + ": " + row.why()));
        return out.toString().stripTrailing() + "\n";
    }

    /// A line for each trial, below a heading: trial, settings, age, value, state.
    ///
    /// @param width most columns; longer lines are cut
    public static List<String> table(StudyResults study, List<TrialRow> rows, int width) {
        List<String> names = study.names();
        List<List<String>> cells = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("trial"));
        head.addAll(names);
        head.addAll(List.of(study.timeAttribute(), study.metric(), "state", "time"));
        cells.add(head);
        Optional<TrialRow> best = study.best();
        for (TrialRow row : rows) {
            List<String> line = new ArrayList<>();
            line.add("%04d".formatted(row.number())
                    + (best.filter(b -> b.number() == row.number()).isPresent() ? "*" : ""));
            names.forEach(name -> line.add(value(row.values().get(name))));
            Optional<TrialRow.Measured> last = row.reports().isEmpty()
                    ? Optional.empty()
                    : Optional.of(row.reports().getLast());
            line.add(last.map(r -> number(r.time())).orElse("-"));
            line.add(last.map(r -> number(r.metric())).orElse("-"));
            line.add(row.state() + (row.crashes() > 0 ? ", " + row.crashes() + " crashed" : ""));
            line.add(Units.duration(row.seconds()));
            cells.add(line);
        }
        int[] widths = IntStream.range(0, head.size())
                .map(c -> cells.stream()
                        .mapToInt(line -> line.get(c).length())
                        .max()
                        .orElse(0))
                .toArray();
        return cells.stream()
                .map(line -> IntStream.range(0, line.size())
                        .mapToObj(c ->
                                line.get(c) + " ".repeat(widths[c] - line.get(c).length()))
                        .collect(Collectors.joining("  "))
                        .stripTrailing())
                .map(line -> line.length() > width ? line.substring(0, width - 1) + "…" : line)
                .toList();
    }

    /// RFC 4180: a line a trial.
    public static String csv(StudyResults study) {
        List<String> names = study.names();
        StringBuilder out = new StringBuilder("trial,state");
        names.forEach(name -> out.append(",").append(name));
        out.append("," + study.timeAttribute() + "," + study.metric() + ",reports,crashes,seconds,why\r\n");
        for (TrialRow row : study.rows()) {
            Optional<TrialRow.Measured> last = row.reports().isEmpty()
                    ? Optional.empty()
                    : Optional.of(row.reports().getLast());
            List<String> line = new ArrayList<>(List.of("" + row.number(), "" + row.state()));
            names.forEach(name -> line.add(
                    row.values().containsKey(name) ? row.values().get(name).toString() : ""));
            line.add(last.map(r -> "" + r.time()).orElse(""));
            line.add(last.map(r -> "" + r.metric()).orElse(""));
            line.addAll(List.of("" + row.reports().size(), "" + row.crashes(), "" + row.seconds(), row.why()));
            out.append(line.stream()
                            .map(cell ->
                                    cell.matches("(?s).*[\",\r\n].*") ? "\"" + cell.replace("\"", "\"\"") + "\"" : cell)
                            .collect(Collectors.joining(",")))
                    .append("\r\n");
        }
        return out.toString();
    }

    /// A setting's value, short.
    static String value(Object value) {
        return value == null ? "-" : value instanceof Double d ? number(d) : value.toString();
    }

    static String number(double x) {
        if (Double.isNaN(x) || Double.isInfinite(x)) {
            return "" + x;
        }
        double size = Math.abs(x);
        if (size != 0 && (size < 1e-3 || size >= 1e6)) {
            return String.format(Locale.ROOT, "%.3e", x);
        }
        return x == Math.rint(x) ? "" + (long) x : String.format(Locale.ROOT, "%.4f", x);
    }
}
