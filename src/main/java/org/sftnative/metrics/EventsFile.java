package org.sftnative.metrics;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `events.jsonl`: what a run did beside its numbers, one JSON object a line, for the report and the live page:
/// `at` (UTC), `step`, `event` and, as the event has them, `message`, `path`, `kind`, `prompt`, `expected`, `answer`,
/// `total_steps`, `summary`.
///
/// A resumed run goes on in it, after the lines up to the step it resumes from, as `metrics.jsonl` does.
public final class EventsFile implements RunListener {
    private static final JsonMapper JSON = new JsonMapper();

    private final Path file;
    private final Clock clock;
    private final Consumer<String> complain;
    private long step;
    private boolean broken;

    /// @param complain told, once, that lines are being lost; the run goes on
    public EventsFile(Path file, Clock clock, Consumer<String> complain) {
        this.file = file;
        this.clock = clock;
        this.complain = complain;
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.Started started -> {
                step = started.firstStep();
                start();
                append(event);
            }
            case RunEvent.StepDone done -> step = done.step();
            case RunEvent.Evaluated _ -> {}
            default -> append(event);
        }
    }

    /// What an event says beside numbers, without time and step.
    static ObjectNode described(RunEvent event) {
        ObjectNode line = JSON.createObjectNode();
        switch (event) {
            case RunEvent.Started started -> {
                line.put("event", "started").put("total_steps", started.totalSteps());
                started.summary().forEach(line.putObject("summary")::put);
            }
            case RunEvent.StepDone _ -> line.put("event", "step");
            case RunEvent.Evaluated _ -> line.put("event", "eval");
            case RunEvent.Saved saved ->
                line.put("event", "saved")
                        .put("path", saved.directory().toString())
                        .put("seconds", saved.seconds());
            case RunEvent.Alerted alert ->
                line.put("event", "alert").put("kind", alert.kind()).put("message", alert.message());
            case RunEvent.Shared shared -> {
                line.put("event", "ranks");
                shared.ranks()
                        .forEach(load -> line.withArray("ranks")
                                .addObject()
                                .put("tokens_per_second", load.tokensPerSecond())
                                .put("waiting", load.waiting())
                                .put("sending", load.sending()));
            }
            case RunEvent.Sampled sample ->
                line.put("event", "sample")
                        .put("prompt", sample.prompt())
                        .put("expected", sample.expected())
                        .put("answer", sample.answer());
            case RunEvent.Warned warned -> line.put("event", "warning").put("message", warned.message());
            case RunEvent.Stopped stopped -> line.put("event", "stopped").put("total_steps", stopped.totalSteps());
            case RunEvent.Failed failed -> line.put("event", "failed").put("message", failed.message());
            case RunEvent.Finished finished ->
                line.put("event", "finished").put("path", finished.model().toString());
        }
        return line;
    }

    /// A checkpoint is told when it is written, some steps after the one that it is of.
    private long stepOf(RunEvent event) {
        return switch (event) {
            case RunEvent.Saved saved -> saved.step();
            case RunEvent.Alerted alert -> alert.step();
            case RunEvent.Shared shared -> shared.step();
            case RunEvent.Sampled sample -> sample.step();
            default -> step;
        };
    }

    private void start() {
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            List<String> kept = new ArrayList<>();
            for (JsonNode line : step == 0 ? List.<JsonNode>of() : read(file, JSON)) {
                if (line.path("step").asLong(0) <= step) {
                    kept.add(line.toString());
                }
            }
            replace(file, kept);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be written", e);
        }
    }

    /// Puts lines in the place of a file, all at once.
    static void replace(Path file, List<String> lines) throws IOException {
        Path beside = file.resolveSibling(file.getFileName() + ".tmp");
        Files.deleteIfExists(beside); // a link there would lead elsewhere
        Files.write(beside, lines, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /// The lines of a file, whatever bytes it has: what a failing disk left between them costs no more than a line.
    static List<String> lines(Path file) throws IOException {
        return new String(Files.readAllBytes(file), StandardCharsets.UTF_8)
                .lines()
                .toList();
    }

    /// The whole lines of a file, an unfinished last one left out; none if it is not there.
    static List<JsonNode> read(Path file, JsonMapper json) {
        List<JsonNode> lines = new ArrayList<>();
        try {
            for (String line : lines(file)) {
                try {
                    lines.add(json.readTree(line));
                } catch (JacksonException cutShort) {
                    continue;
                }
            }
        } catch (NoSuchFileException none) {
            return lines;
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be read", e);
        }
        return lines;
    }

    private void append(RunEvent event) {
        ObjectNode line = JSON.createObjectNode()
                .put("at", clock.instant().toString())
                .put("step", stepOf(event))
                .setAll(described(event));
        try {
            Files.writeString(file, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            if (!broken) {
                broken = true;
                complain.accept("events are being lost: " + file + " cannot be written (" + e.getMessage() + ")");
            }
        }
    }
}
