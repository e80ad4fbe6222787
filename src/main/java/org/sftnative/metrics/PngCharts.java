package org.sftnative.metrics;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;
import tools.jackson.databind.JsonNode;

/// The report's charts as PNG files, for papers and chats: one a chart, all runs in it.
public final class PngCharts {
    private static final int WIDTH = 1000;
    private static final int HEIGHT = 560;
    /// Okabe and Ito's colours, as on the page.
    private static final List<Color> COLOURS = List.of(
            new Color(0x0072b2), new Color(0xd55e00), new Color(0x009e73), new Color(0xcc79a7), new Color(0xe69f00));

    private record Chart(String file, String title, String unit, String key, String evalKey, double scale) {}

    private static final List<Chart> CHARTS = List.of(
            new Chart("loss", "Loss", "nats a label token", "loss", "eval_loss", 1),
            new Chart("learning_rate", "Learning rate", "", "learning_rate", "", 1),
            new Chart("grad_norm", "Gradient norm, before clipping", "", "grad_norm", "", 1),
            new Chart("tokens_per_second", "Throughput", "real tokens a second", "tokens_per_second", "", 1),
            new Chart("memory", "Peak memory so far", "GiB", "peak_bytes", "", 1.0 / (1L << 30)));

    private PngCharts() {}

    /// Writes `loss.png` and the others into a folder, which is made.
    ///
    /// @return the files, those of charts that have no points left out
    public static List<Path> write(List<RunHistory> runs, Path folder) throws IOException {
        System.setProperty("java.awt.headless", "true"); // before AWT looks for a display
        Files.createDirectories(folder);
        List<Path> files = new ArrayList<>();
        for (Chart chart : CHARTS) {
            XYChart drawn = new XYChartBuilder()
                    .width(WIDTH)
                    .height(HEIGHT)
                    .title(chart.title)
                    .xAxisTitle("optimizer step")
                    .yAxisTitle(chart.unit)
                    .build();
            drawn.getStyler()
                    .setLegendPosition(Styler.LegendPosition.OutsideS)
                    .setLegendLayout(Styler.LegendLayout.Horizontal)
                    .setChartBackgroundColor(Color.WHITE);
            drawn.getStyler().setPlotGridLinesColor(new Color(0xd0d7de));
            for (int i = 0; i < runs.size(); i++) {
                RunHistory run = runs.get(i);
                add(drawn, run.name(), run.steps(), chart.key, chart.scale, COLOURS.get(i % COLOURS.size()), false);
                add(
                        drawn,
                        run.name() + ", evaluation",
                        run.evals(),
                        chart.evalKey,
                        chart.scale,
                        COLOURS.get((runs.size() == 1 ? 1 : i) % COLOURS.size()),
                        true);
            }
            if (!drawn.getSeriesMap().isEmpty()) {
                Path file = folder.resolve(chart.file + ".png");
                BitmapEncoder.saveBitmap(drawn, file.toString(), BitmapEncoder.BitmapFormat.PNG);
                files.add(file);
            }
        }
        return files;
    }

    private static void add(
            XYChart chart, String name, List<JsonNode> lines, String key, double scale, Color colour, boolean marks) {
        List<Double> x = new ArrayList<>();
        List<Double> y = new ArrayList<>();
        for (JsonNode line : lines) {
            double value = line.path(key).asDouble(Double.NaN) * scale;
            if (Double.isFinite(value)) {
                x.add(line.path("step").asDouble(0));
                y.add(value);
            }
        }
        if (!x.isEmpty()) {
            XYSeries series = chart.addSeries(name, x, y);
            series.setLineColor(colour);
            series.setMarkerColor(colour);
            series.setMarker(marks || x.size() == 1 ? SeriesMarkers.CIRCLE : SeriesMarkers.NONE);
            series.setLineStyle(marks ? SeriesLines.DASH_DASH : SeriesLines.SOLID);
        }
    }
}
