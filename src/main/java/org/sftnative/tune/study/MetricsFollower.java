package org.sftnative.tune.study;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import org.sftnative.tune.TimeAttribute;
import tools.jackson.core.JacksonException;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Reads what a run writes into its `metrics.jsonl`, line by line, while it is being written. A run that goes on from a
/// checkpoint puts a new file in the old one's place; it is read from its start, and steps come again.
final class MetricsFollower {
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS) // a loss may be NaN
            .build();
    private static final int LONGEST = 1 << 20;

    private final Path file;
    private final String metric;
    private final TimeAttribute attribute;
    private final SortedSet<String> names = new TreeSet<>();
    private Optional<Object> lastKey = Optional.empty();
    private long position;
    private double epoch;
    private double tokens;

    /// A line that has the metric.
    record Measurement(long step, double time, double metric) {}

    /// @param metric the key that is looked for: `eval_loss`
    MetricsFollower(Path file, String metric, TimeAttribute attribute) {
        this.file = file;
        this.metric = metric;
        this.attribute = attribute;
    }

    /// Names of all numbers that were seen, for whoever asks for one that is not there.
    SortedSet<String> names() {
        return names;
    }

    /// What was added since the last call: whole lines only. A file that is not there yet has none.
    List<Measurement> poll() throws IOException {
        List<Measurement> found = new ArrayList<>();
        try {
            Optional<Object> before = key();
            try (FileChannel channel = FileChannel.open(file)) {
                if (before.equals(key())) { // else it was replaced just now: the next look sees the new one
                    read(channel, before, found);
                }
            }
        } catch (NoSuchFileException e) {
            return found;
        }
        return found;
    }

    private Optional<Object> key() throws IOException {
        return Optional.ofNullable(
                Files.readAttributes(file, BasicFileAttributes.class).fileKey());
    }

    private void read(FileChannel channel, Optional<Object> now, List<Measurement> found) throws IOException {
        if (!now.equals(lastKey) || channel.size() < position) {
            lastKey = now;
            position = 0;
            epoch = 0;
            tokens = 0;
        }
        while (position < channel.size()) {
            ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(LONGEST, channel.size() - position));
            channel.read(bytes, position);
            int end = bytes.position();
            while (end > 0 && bytes.get(end - 1) != '\n') {
                end--;
            }
            if (end == 0) {
                return; // the rest of the line is still to come
            }
            position += end;
            new String(bytes.array(), 0, end, StandardCharsets.UTF_8)
                    .lines()
                    .forEach(line -> read(line).ifPresent(found::add));
        }
    }

    private Optional<Measurement> read(String line) {
        ObjectNode values;
        try {
            if (!(JSON.readTree(line) instanceof ObjectNode object)) {
                return Optional.empty();
            }
            values = object;
        } catch (JacksonException e) {
            return Optional.empty(); // a line that a full disk cut in two
        }
        values.properties().stream()
                .filter(value -> value.getValue().isNumber())
                .forEach(value -> names.add(value.getKey()));
        epoch = values.path("epoch").asDouble(epoch);
        tokens += values.path("trained_tokens").asDouble(0);
        JsonNode value = values.path(metric);
        JsonNode step = values.path("step");
        if (!value.isNumber() || !step.isIntegralNumber()) {
            return Optional.empty();
        }
        double time = switch (attribute) {
            case EPOCH -> epoch;
            case STEP -> step.asDouble();
            case TOKENS -> tokens;
        };
        return Optional.of(new Measurement(step.asLong(), time, value.asDouble()));
    }
}
