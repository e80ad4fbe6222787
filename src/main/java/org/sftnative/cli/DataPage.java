package org.sftnative.cli;

import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.sftnative.data.DataReport;

/// A report on rows as one page that needs nothing else: no script, no font, no network.
final class DataPage {
    private static final int PLOT_WIDTH = 640;
    private static final int PLOT_HEIGHT = 160;
    private static final String STYLE = """
            :root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --faint: #6e7781; --line: #d0d7de;
              --bar: #0969da; --given: #f0f2f5; --given-next: #e2e6eb; --trained: #aceebb; --trained-next: #7ddf96; }
            @media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1;
              --line: #3d444d; --bar: #4493f8; --given: #1c2128; --given-next: #2a3038; --trained: #0f5323;
              --trained-next: #1a7f37; } }
            body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
              max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
            h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
            table { border-collapse: collapse; width: 100%; }
            th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
              vertical-align: top; overflow-wrap: anywhere; }
            th { color: var(--faint); font-weight: 600; white-space: nowrap; }
            td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
            svg { width: 100%; height: auto; } svg rect { fill: var(--bar); }
            svg text { fill: var(--faint); font-size: 11px; } svg line { stroke: var(--line); }
            pre { white-space: pre-wrap; overflow-wrap: anywhere; }
            .tokens { font: 14px/1.9 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
              border: 1px solid var(--line); border-radius: 6px; padding: .6rem; }
            .tokens span, .legend span { border-radius: 3px; padding: .1rem 0; }
            .legend span { padding: .1rem .4rem; }
            .g { background: var(--given); } .g:nth-child(even) { background: var(--given-next); }
            .t { background: var(--trained); } .t:nth-child(even) { background: var(--trained-next); }
            """;

    private DataPage() {}

    static String of(DataReport report) {
        StringBuilder page = new StringBuilder();
        page.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        page.append("<title>Rows to train</title>\n<style>\n").append(STYLE).append("</style>\n</head>\n<body>\n");
        page.append("<h1>Rows to train</h1>\n");
        page.append("<table>\n<tr><th>file</th><th>for</th><th>format</th><th class=\"n\">rows</th>"
                + "<th class=\"n\">documents</th><th class=\"n\">cut</th><th class=\"n\">equal</th></tr>\n");
        for (DataReport.SourceLine file : report.files()) {
            page.append("<tr><td>" + escaped(Visible.of(file.file().toString())) + "</td><td>" + escaped(file.role())
                    + "</td><td>" + escaped(file.format()) + "</td>" + number(file.rows()) + number(file.documents())
                    + number(file.cut()) + number(file.duplicates()) + "</tr>\n");
        }
        page.append("</table>\n<h2>In numbers</h2>\n<table>\n");
        DataText.facts(report)
                .forEach((name, value) ->
                        page.append("<tr><th>" + escaped(name) + "</th><td>" + escaped(value) + "</td></tr>\n"));
        page.append("</table>\n<h2>Lengths in tokens</h2>\n").append(histogram(report.lengths()));
        if (!report.broken().isEmpty()) {
            page.append("<h2>Broken rows</h2>\n");
            report.broken()
                    .forEach(why -> page.append("<pre>"
                            + escaped(why.lines().map(Visible::of).collect(Collectors.joining("\n"))) + "</pre>\n"));
        }
        page.append("<h2>The first rows of the first epoch</h2>\n<p class=\"legend\">Token by token: "
                + "<span class=\"t\">trained</span> <span class=\"g\">given, not trained</span>. "
                + "A token's id is its tooltip.</p>\n");
        for (DataReport.Sample sample : report.samples()) {
            page.append("<h3>" + escaped(Visible.of(sample.where())) + "</h3>\n<div class=\"tokens\">");
            sample.pieces().forEach(piece -> page.append(token(piece)));
            page.append("</div>\n");
        }
        return page.append("</body>\n</html>\n").toString();
    }

    private static String token(DataReport.Piece piece) {
        String ids = piece.ids().stream().map(String::valueOf).collect(Collectors.joining(", "));
        return "<span class=\"" + (piece.trained() ? "t" : "g") + "\" title=\""
                + (piece.ids().size() == 1 ? "id " : "ids ") + ids + (piece.trained() ? ", trained" : "") + "\">"
                + escaped(Visible.of(piece.text())).replace("↵", "↵\n") + "</span>";
    }

    private static String histogram(DataReport.Lengths lengths) {
        List<Integer> bins = lengths.bins();
        int most = Collections.max(bins);
        double step = (double) PLOT_WIDTH / bins.size();
        StringBuilder svg = new StringBuilder("<svg viewBox=\"0 0 " + PLOT_WIDTH + " " + (PLOT_HEIGHT + 38)
                + "\" role=\"img\" aria-label=\"histogram of lengths\">\n");
        for (int b = 0; b < bins.size(); b++) {
            double height = (double) PLOT_HEIGHT * bins.get(b) / most;
            String range = (b * lengths.binWidth() + 1) + "-" + (b + 1) * lengths.binWidth();
            svg.append(format(
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s tokens: %d</title></rect>\n",
                    b * step + 1, 16 + PLOT_HEIGHT - height, step - 2, height, range, bins.get(b)));
            svg.append(format(
                    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d</text>\n",
                    (b + 0.5) * step, 12 + PLOT_HEIGHT - height, bins.get(b)));
            svg.append(format(
                    "<text x=\"%.1f\" y=\"%d\" text-anchor=\"end\">%d</text>\n",
                    (b + 1) * step, PLOT_HEIGHT + 32, (b + 1) * lengths.binWidth()));
        }
        return svg.append(format(
                        "<line x1=\"0\" y1=\"%1$d\" x2=\"%2$d\" y2=\"%1$d\"/>\n</svg>\n", PLOT_HEIGHT + 16, PLOT_WIDTH))
                .toString();
    }

    private static String number(int n) {
        return "<td class=\"n\">" + n + "</td>";
    }

    static String escaped(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;")
                .replace("'", "&#39;");
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
