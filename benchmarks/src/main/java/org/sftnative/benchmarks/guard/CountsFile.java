package org.sftnative.benchmarks.guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// `baselines/counts.json`: the counts that are accepted.
public final class CountsFile {
    /// The JDK that counted, as one number: heap bytes are compared where it is the same.
    public static final String JDK = "jdk";

    /// What a step's heap bytes may differ by from machine to machine. Two machines differed by 24 bytes in
    /// twelve steps; the likely cause, not shown, is /proc/self/status, whose lines the loop reads.
    static final long HEAP_TOLERANCE = 64;

    private CountsFile() {}

    /// @throws BadResults if it is missing or no object of whole numbers
    public static SortedMap<String, Long> read(Path file) {
        JsonNode root;
        try {
            root = new JsonMapper().readTree(Files.readString(file));
        } catch (IOException | JacksonException e) {
            throw new BadResults(file + " is missing or no JSON: scripts/bench --counts --accept writes it", e);
        }
        SortedMap<String, Long> counts = new TreeMap<>();
        root.propertyStream().forEach(p -> {
            if (!p.getValue().isIntegralNumber() || !p.getValue().canConvertToLong()) {
                throw new BadResults(file + ": " + p.getKey() + " is no whole number");
            }
            counts.put(p.getKey(), p.getValue().asLong());
        });
        if (counts.isEmpty()) {
            throw new BadResults(file + " has no counts");
        }
        return counts;
    }

    /// Whether a count depends on the JDK.
    static boolean ofTheJdk(String name) {
        return name.equals(JDK) || name.endsWith("/heap_bytes");
    }

    private static boolean same(String name, long before, long now) {
        return Math.abs(now - before) <= (name.endsWith("heap_bytes") ? HEAP_TOLERANCE : 0);
    }

    /// Writes them, one a line.
    public static void write(Path file, SortedMap<String, Long> counts) throws IOException {
        String json = JsonMapper.builder()
                .enable(SerializationFeature.INDENT_OUTPUT)
                .build()
                .writeValueAsString(counts);
        Files.createDirectories(file.toAbsolutePath().getParent());
        Files.writeString(file, json + "\n");
    }

    /// A line for each count that is not as accepted, fewer as much as more; none if all are. Heap bytes may differ by
    /// [#HEAP_TOLERANCE], everything else by nothing.
    public static List<String> differences(SortedMap<String, Long> accepted, SortedMap<String, Long> counted) {
        TreeSet<String> names = new TreeSet<>(accepted.keySet());
        names.addAll(counted.keySet());
        List<String> lines = new ArrayList<>();
        for (String name : names) {
            Long before = accepted.get(name);
            Long now = counted.get(name);
            if (before == null) {
                lines.add(name + ": " + now + ", not in the file");
            } else if (now == null) {
                lines.add(name + ": not counted, was " + before);
            } else if (!same(name, before, now)) {
                lines.add(name + ": " + now + ", was " + before);
            }
        }
        return lines;
    }
}
