package org.sftnative.metrics;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.SequencedMap;
import tools.jackson.core.JacksonException;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What is known of a run, read from its `metrics.jsonl` and `events.jsonl`; the run may still be going on.
///
/// @param name the output directory's
/// @param steps logged steps, in order, with the keys of [MetricsFile]
/// @param evals evaluations, in order
/// @param events what [EventsFile] wrote
/// @param changed when a line was last written, in milliseconds since 1970
public record RunHistory(String name, List<JsonNode> steps, List<JsonNode> evals, List<JsonNode> events, long changed) {
    /// Points of a chart beyond which every second, third .. is left out.
    private static final int MOST_POINTS = 4000;

    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS) // NaN, as MetricsFile writes it
            .build();

    /// @param output a run's output directory
    /// @return absent if there is no `metrics.jsonl` with a line in it
    public static Optional<RunHistory> read(Path output) {
        List<JsonNode> steps = new ArrayList<>();
        List<JsonNode> evals = new ArrayList<>();
        for (JsonNode line : EventsFile.read(output.resolve("metrics.jsonl"), JSON)) {
            if (line.has("eval_loss")) {
                add(evals, line);
            } else if (line.has("loss")) {
                add(steps, line);
            }
        }
        List<JsonNode> events = EventsFile.read(output.resolve("events.jsonl"), JSON);
        if (steps.isEmpty() && evals.isEmpty() && events.isEmpty()) {
            return Optional.empty();
        }
        String name = output.toAbsolutePath().normalize().getFileName().toString();
        return Optional.of(new RunHistory(name, steps, evals, events, changed(output)));
    }

    private static long changed(Path output) {
        return Math.max(
                output.resolve("metrics.jsonl").toFile().lastModified(),
                output.resolve("events.jsonl").toFile().lastModified());
    }

    /// A run that went back to a checkpoint does steps again: they stand once.
    private static void add(List<JsonNode> lines, JsonNode line) {
        while (!lines.isEmpty()
                && lines.getLast().path("step").asLong(0) >= line.path("step").asLong(0)) {
            lines.removeLast();
        }
        lines.add(line);
    }

    /// Steps of the whole run, as it was last started; 0 if unknown.
    public long totalSteps() {
        return events.reversed().stream()
                .mapToLong(e -> e.path("total_steps").asLong(0))
                .filter(total -> total > 0)
                .findFirst()
                .orElse(0);
    }

    /// The last step that is known.
    public long lastStep() {
        return Math.max(last(steps), Math.max(last(evals), last(events)));
    }

    private static long last(List<JsonNode> lines) {
        return lines.isEmpty() ? 0 : lines.getLast().path("step").asLong(0);
    }

    /// What was decided at the start, in order.
    public SequencedMap<String, String> summary() {
        SequencedMap<String, String> summary = new LinkedHashMap<>();
        events.stream()
                .filter(e -> e.path("event").asString("").equals("started"))
                .forEach(e -> e.path("summary")
                        .propertyStream()
                        .forEach(p -> summary.put(p.getKey(), p.getValue().asString(""))));
        return summary;
    }

    /// The lowest evaluation loss.
    public OptionalDouble bestEvalLoss() {
        return evals.stream()
                .mapToDouble(e -> e.path("eval_loss").asDouble(Double.NaN))
                .filter(Double::isFinite)
                .min();
    }

    /// `finished`, `stopped`, `failed`, or `running`: a run that was killed says nothing, and looks as if it went on.
    public String state() {
        for (JsonNode event : events.reversed()) {
            switch (event.path("event").asString("")) {
                case "finished":
                    return "finished";
                case "stopped":
                    return "stopped";
                case "failed":
                    return "failed";
                case "started":
                    return "running";
                default:
                    break;
            }
        }
        return "running";
    }

    /// Everything as the page's script takes it; a number that is not finite is null there.
    public ObjectNode json() {
        ObjectNode run = JSON.createObjectNode()
                .put("name", name)
                .put("state", state())
                .put("last_step", lastStep())
                .put("total_steps", totalSteps())
                .put("changed", changed);
        lines(run.putArray("steps"), steps);
        lines(run.putArray("evals"), evals);
        boolean many = events.size() > MOST_POINTS;
        long shown = events.size() - MOST_POINTS;
        ArrayNode told = run.putArray("events");
        for (int i = 0; i < events.size(); i++) {
            if (!many || i >= shown || events.get(i).has("summary")) { // the last ones, and what began the run
                told.add(events.get(i));
            }
        }
        Reading.of(this).forEach(run.putArray("reading")::add);
        return run;
    }

    private static void lines(ArrayNode to, List<JsonNode> from) {
        int stride = Math.ceilDiv(from.size(), MOST_POINTS);
        for (int i = 0; i < from.size(); i++) {
            if (stride <= 1 || i % stride == 0 || i == from.size() - 1) {
                ObjectNode line = from.get(i).deepCopy().asObject();
                from.get(i).propertyStream().forEach(p -> {
                    if (p.getValue().isDouble() && !Double.isFinite(p.getValue().asDouble())) {
                        line.putNull(p.getKey());
                    }
                });
                to.add(line);
            }
        }
    }

    /// A JSON text of several runs, safe inside a page's script element.
    static String script(List<RunHistory> runs) {
        try {
            ArrayNode all = JSON.createArrayNode();
            runs.forEach(run -> all.add(run.json()));
            // a text of a row must not end the script element
            return JSON.writeValueAsString(all).replace("<", "\\u003c").replace("\u2028", "\\u2028");
        } catch (JacksonException e) {
            throw new IllegalStateException(e);
        }
    }
}
