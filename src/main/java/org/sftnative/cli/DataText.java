package org.sftnative.cli;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.sftnative.data.DataReport;
import org.sftnative.data.Dataset;

/// A report on rows, for a terminal of 80 columns.
final class DataText {
    private static final int WIDTH = 80;
    private static final int LISTED = 20;
    /// Trained tokens alternate between two backgrounds, others between two strengths, so that each can be told
    /// from the next.
    private static final List<String> TRAINED = List.of("\u001b[30;42m", "\u001b[30;46m");

    private static final List<String> GIVEN = List.of("", "\u001b[2m");
    private static final String RESET = "\u001b[0m";

    private final boolean colour;

    /// @param colour whether trained tokens are coloured; else they stand in brackets
    DataText(boolean colour) {
        this.colour = colour;
    }

    /// Whether to colour: on a terminal, unless NO_COLOR says otherwise (no-color.org).
    static boolean colours(boolean terminal, Map<String, String> environment) {
        return terminal && environment.getOrDefault("NO_COLOR", "").isEmpty();
    }

    String of(DataReport report) {
        StringBuilder out = new StringBuilder();
        files(report, out);
        out.append('\n');
        facts(report).forEach((name, value) -> out.append(wrapped(name, value)));
        out.append('\n');
        histogram(report.lengths(), out);
        if (!report.broken().isEmpty()) {
            out.append("\nbroken rows\n");
            report.broken().stream()
                    .limit(LISTED)
                    .flatMap(String::lines)
                    .forEach(line -> out.append("  " + Visible.of(line) + "\n"));
            int more = report.broken().size() - LISTED;
            out.append(more > 0 ? "  ... and " + more + " more\n" : "");
        }
        out.append("\nThe first rows of the first epoch by tokens; trained ones are ")
                .append(colour ? TRAINED.getFirst() + "coloured" + RESET : "in [brackets]")
                .append(".\n");
        for (DataReport.Sample sample : report.samples()) {
            out.append('\n').append(Visible.of(sample.where())).append('\n');
            tokens(sample.pieces(), out);
        }
        return out.toString();
    }

    /// What is said in words, by name, in order.
    static Map<String, String> facts(DataReport report) {
        Map<String, String> facts = new LinkedHashMap<>();
        Dataset.Report train = report.train();
        DataReport.Epoch epoch = report.epoch();
        facts.put(
                "rows",
                count(train.rows(), "row") + " for training, " + train.truncated() + " longer than "
                        + report.maxLength()
                        + " tokens, " + train.dropped().size() + " dropped for want of a label"
                        + (train.dropped().isEmpty()
                                ? ""
                                : " ("
                                        + train.dropped().stream()
                                                .limit(5)
                                                .map(d -> Visible.of(d.file().getFileName() + " row " + d.row()))
                                                .collect(Collectors.joining(", "))
                                        + (train.dropped().size() > 5 ? ", ...)" : ")"))
                        + ", " + report.broken().size() + " broken");
        facts.put("duplicates", train.duplicates() + " equal to an earlier row");
        report.eval()
                .ifPresent(eval -> facts.put(
                        "evaluation",
                        count(eval.rows(), "row") + ", " + eval.tokens() + " tokens; " + eval.shared()
                                + " of them are trained too"));
        facts.put(
                "no EOS",
                report.withoutEos() == 0
                        ? "every row trains an end-of-sequence token"
                        : count(report.withoutEos(), "row") + " without a trained end-of-sequence token: the model does"
                                + " not learn to stop there");
        facts.put(
                "lengths",
                IntStream.range(0, DataReport.Lengths.PERCENTS.size())
                                .mapToObj(i -> percent(DataReport.Lengths.PERCENTS.get(i)) + " "
                                        + report.lengths().percentiles().get(i))
                                .collect(Collectors.joining(", "))
                        + format(", mean %.1f tokens", report.lengths().mean()));
        facts.put(
                "epoch",
                count(epoch.documents(), "document") + ", "
                        + format(
                                "%d tokens, %d trained (%.1f%%), ",
                                epoch.tokens(), epoch.labelTokens(), 100.0 * epoch.labelTokens() / epoch.tokens())
                        + count(epoch.steps(), "step") + " of " + epoch.stepOf());
        facts.put(
                "packing",
                format(
                        "bfd: %d sequences of up to %d tokens, %.2f%% full",
                        report.packing().sequences(),
                        report.maxLength(),
                        100 * report.packing().full()));
        return facts;
    }

    private static String percent(int percent) {
        return switch (percent) {
            case 0 -> "min";
            case 100 -> "max";
            default -> percent + "%";
        };
    }

    private static String count(long n, String what) {
        return n + " " + what + (n == 1 ? "" : "s");
    }

    private static void files(DataReport report, StringBuilder out) {
        out.append(format("%-33s %-9s %-10s %7s %9s %6s\n", "file", "for", "format", "rows", "documents", "equal"));
        for (DataReport.SourceLine file : report.files()) {
            String name = Visible.of(file.file().toString());
            while (Visible.width(name) > 33) { // the end of a path says more than its beginning
                name = "…" + name.substring(name.offsetByCodePoints(0, name.startsWith("…") ? 2 : 1));
            }
            out.append(name + " ".repeat(33 - Visible.width(name)));
            out.append(format(
                    " %-9s %-10s %7d %9d %6d\n",
                    file.role(), file.format(), file.rows(), file.documents(), file.duplicates()));
        }
    }

    private static String wrapped(String name, String value) {
        StringBuilder out = new StringBuilder();
        StringBuilder line = new StringBuilder(format("%-11s", name));
        for (String word : value.split(" ")) {
            if (Visible.width(line + " " + word) > WIDTH) {
                out.append(line).append('\n');
                line = new StringBuilder(" ".repeat(11));
            }
            line.append(' ').append(word);
        }
        return out.append(line).append('\n').toString();
    }

    private static void histogram(DataReport.Lengths lengths, StringBuilder out) {
        int most = Collections.max(lengths.bins());
        int digits = String.valueOf(lengths.bins().size() * lengths.binWidth()).length();
        int bar = WIDTH - 2 * digits - 4 - 1 - String.valueOf(most).length();
        for (int b = 0; b < lengths.bins().size(); b++) {
            int n = lengths.bins().get(b);
            int eighths = n == 0 ? 0 : Math.max(1, (int) Math.round(8.0 * bar * n / most));
            String end = eighths % 8 == 0 ? "" : Character.toString(0x2590 - eighths % 8);
            out.append(format(
                    "%" + digits + "d-%" + digits + "d  %s%s %d\n",
                    b * lengths.binWidth() + 1,
                    (b + 1) * lengths.binWidth(),
                    "█".repeat(eighths / 8),
                    end,
                    n));
        }
    }

    private void tokens(List<DataReport.Piece> pieces, StringBuilder out) {
        int column = 0;
        for (int i = 0; i < pieces.size(); i++) {
            DataReport.Piece piece = pieces.get(i);
            String text = Visible.of(piece.text());
            String shown = colour ? text : piece.trained() ? "[" + text + "]" : text + "|";
            int width = Visible.width(shown);
            if (column > 0 && column + width > WIDTH) {
                out.append('\n');
                column = 0;
            }
            String style = colour ? (piece.trained() ? TRAINED : GIVEN).get(i % 2) : "";
            out.append(style).append(shown).append(style.isEmpty() ? "" : RESET);
            column += width;
            if (piece.text().endsWith("\n")) {
                out.append('\n');
                column = 0;
            }
        }
        out.append(column > 0 ? "\n" : "");
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
