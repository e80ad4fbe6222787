package org.sftnative.benchmarks.guard;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Timings that are kept, one JSON line a row and measurement: `baselines/<card>-<jdk>-<libtorch>.jsonl`.
public final class Baseline {
    private static final JsonMapper JSON = new JsonMapper();

    private Baseline() {}

    /// Adds rows to the file of their place.
    ///
    /// @param commit that was measured
    /// @param clocks of the card while it was measured, in words; empty if unknown
    /// @return the file
    public static Path append(Path directory, Place place, String commit, String clocks, SortedMap<String, Row> rows)
            throws IOException {
        StringBuilder lines = new StringBuilder();
        for (Row row : rows.values()) {
            ObjectNode line = JSON.createObjectNode()
                    .put("row", row.name())
                    .put("at", Instant.now().toString())
                    .put("commit", commit)
                    .put("clocks", clocks)
                    .put("card", place.card())
                    .put("jdk", place.jdk())
                    .put("libtorch", place.libtorch());
            row.seconds().forEach(line.putArray("seconds")::add);
            row.secondary().forEach(line.putObject("secondary")::put);
            lines.append(line).append('\n');
        }
        Files.createDirectories(directory);
        Path file = directory.resolve(place.fileName());
        Files.write(
                file,
                lines.toString().getBytes(StandardCharsets.UTF_8),
                StandardOpenOption.CREATE,
                StandardOpenOption.APPEND);
        return file;
    }

    /// The newest measurement of each row.
    ///
    /// @param here where it is to be compared
    /// @throws BadResults if a line is broken, or was measured elsewhere
    public static SortedMap<String, Row> read(Path file, Place here) {
        List<String> lines;
        try {
            lines = Files.readAllLines(file);
        } catch (IOException e) {
            throw new BadResults(file + " cannot be read", e);
        }
        SortedMap<String, Row> rows = new TreeMap<>();
        for (int i = 0; i < lines.size(); i++) {
            JsonNode line;
            try {
                line = JSON.readTree(lines.get(i));
            } catch (JacksonException e) {
                throw new BadResults(file + ", line " + (i + 1) + " is no JSON", e);
            }
            String differences = place(line).differences(here);
            if (!differences.isEmpty()) {
                throw new BadResults(file + ", line " + (i + 1) + " was measured elsewhere: " + differences
                        + "\n  timings are compared on one machine: scripts/bench --against REVISION");
            }
            List<Double> seconds = new ArrayList<>();
            line.path("seconds").forEach(s -> seconds.add(s.asDouble(Double.NaN)));
            SortedMap<String, Double> secondary = new TreeMap<>();
            line.path("secondary")
                    .propertyStream()
                    .forEach(p -> secondary.put(p.getKey(), p.getValue().asDouble(Double.NaN)));
            String name = line.path("row").asString("");
            rows.put(name, new Row(name, seconds, secondary));
        }
        return rows;
    }

    private static Place place(JsonNode line) {
        return new Place(
                line.path("card").asString("unknown"),
                line.path("jdk").asString("unknown"),
                line.path("libtorch").asString("unknown"));
    }
}
