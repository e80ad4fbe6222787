package org.sftnative.benchmarks.guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Reads JMH's JSON (`-rf json`): <https://github.com/openjdk/jmh>, JSONResultFormat.
public final class Results {
    private static final Map<String, Double> UNITS = Map.of("s", 1.0, "ms", 1e-3, "us", 1e-6, "ns", 1e-9, "min", 60.0);

    /// CPU time of the measuring thread, by which a row is judged that has it: of a fork's iterations
    /// the one that a tenth of them beat. What else a machine does, and its neighbours on a virtual one,
    /// only ever adds to this time, and for seconds at a stretch; what the code costs is in every
    /// iteration. Where that time went up from 2.8 to 4.9 ms and back, pairs of forks of one build were
    /// apart by 4% (standard deviation) in their means, by 1% here.
    public static final String THREAD_SECONDS = "threadSeconds";

    /// Most bytes in use on a card.
    public static final String PEAK_BYTES = "allocatedPeakBytes";

    private Results() {}

    /// The rows of several files of one build, forks joined in the order of the files.
    ///
    /// @throws BadResults if a file is broken, or its rows are not those of the first
    public static SortedMap<String, Row> read(List<Path> files) {
        SortedMap<String, Row> all = new TreeMap<>();
        for (Path file : files) {
            SortedMap<String, Row> rows = read(file);
            if (!all.isEmpty() && !all.keySet().equals(rows.keySet())) {
                throw new BadResults(
                        file.getFileName() + " has the rows " + rows.keySet() + ", those before it " + all.keySet());
            }
            rows.forEach((name, row) -> all.merge(name, row, Results::joined));
        }
        return all;
    }

    private static double undisturbed(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted.length == 0 ? Double.NaN : sorted[sorted.length / 10];
    }

    private static Row joined(Row a, Row b) {
        List<Double> seconds = new ArrayList<>(a.seconds());
        seconds.addAll(b.seconds());
        SortedMap<String, Double> secondary = new TreeMap<>(b.secondary());
        secondary.computeIfPresent(
                PEAK_BYTES, (name, peak) -> Math.max(peak, a.secondary().getOrDefault(name, peak)));
        return new Row(a.name(), seconds, secondary);
    }

    private static SortedMap<String, Row> read(Path file) {
        JsonNode root;
        try {
            root = new JsonMapper().readTree(Files.readString(file));
        } catch (IOException | JacksonException e) {
            throw new BadResults(file + " is no result file of JMH: it is missing, broken or cut short", e);
        }
        if (!root.isArray() || root.isEmpty()) {
            throw new BadResults(file + " has no results: every benchmark failed, or none was chosen");
        }
        SortedMap<String, Row> rows = new TreeMap<>();
        for (JsonNode node : root) {
            Row row = row(file, node);
            if (rows.put(row.name(), row) != null) {
                throw new BadResults(file + " has " + row.name() + " twice");
            }
        }
        return rows;
    }

    private static Row row(Path file, JsonNode node) {
        String name = node.path("benchmark").asString("").replaceFirst("^org\\.sftnative\\.benchmarks\\.", "");
        JsonNode thread = node.path("secondaryMetrics").path(THREAD_SECONDS);
        JsonNode metric = thread.isMissingNode() ? node.path("primaryMetric") : thread;
        String mode = thread.isMissingNode() ? node.path("mode").asString("") : "avgt";
        String unit = metric.path("scoreUnit").asString("");
        boolean throughput = mode.equals("thrpt");
        Double scale = UNITS.get(throughput ? unit.replaceFirst("^ops/", "") : unit.replaceFirst("/op$", ""));
        if (name.isEmpty() || scale == null || !(throughput || mode.equals("avgt") || mode.equals("ss"))) {
            throw new BadResults(file + ": a result without a name, or in mode '" + mode + "' and unit '" + unit + "'");
        }
        TreeMap<String, String> params = new TreeMap<>();
        node.path("params")
                .propertyStream()
                .forEach(p -> params.put(p.getKey(), p.getValue().asString("")));
        List<Double> seconds = new ArrayList<>();
        for (JsonNode fork : metric.path("rawData")) {
            double[] iterations =
                    fork.valueStream().mapToDouble(i -> i.asDouble(Double.NaN)).toArray();
            boolean broken =
                    Arrays.stream(iterations).anyMatch(i -> !Double.isFinite(i)); // the sum shows it, not a rank
            double of = thread.isMissingNode() || broken
                    ? Arrays.stream(iterations).average().orElse(Double.NaN)
                    : undisturbed(iterations);
            seconds.add(throughput ? scale / of : scale * of);
        }
        SortedMap<String, Double> secondary = new TreeMap<>();
        node.path("secondaryMetrics")
                .propertyStream()
                .forEach(m ->
                        secondary.put(m.getKey(), m.getValue().path("score").asDouble(Double.NaN)));
        return new Row(
                params.isEmpty()
                        ? name
                        : name
                                + params.toString()
                                        .replace('{', '[')
                                        .replace('}', ']')
                                        .replace(", ", ","),
                seconds,
                secondary);
    }
}
