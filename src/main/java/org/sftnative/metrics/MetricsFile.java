package org.sftnative.metrics;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// `metrics.jsonl`: one JSON object a line, for each logged step, each evaluation, and the end of the run, with
/// transformers' keys:
///
/// - logged step: `step, epoch, loss, grad_norm, learning_rate`, and ours: `tokens_per_second`, `trained_tokens` and
///   `label_tokens` (of the steps since the last logged one), `peak_bytes`;
/// - evaluation: `step, epoch, eval_loss, eval_runtime` (seconds), and ours: `eval_label_tokens`;
/// - end: `step, train_loss, train_runtime`, and ours: `tokens`, `peak_bytes`.
///
/// A loss that is not finite is written as it is: `NaN`, `Infinity` and `-Infinity`, the tokens that Python's
/// `json.loads` and pandas read back; strict JSON has no word for them.
///
/// A new run starts a new file. A resumed run goes on in it, after the lines up to the step it resumes from: what a
/// killed run logged beyond its checkpoint is done again, and stands in the file once.
public final class MetricsFile implements RunListener {
    private static final Pattern STEP = Pattern.compile("\\{\"step\":(\\d{1,18})[,}]");

    private final Path file;
    private final Consumer<String> complain;
    private boolean broken;

    /// @param file usually `metrics.jsonl` of the output directory; written when the run starts
    /// @param complain told, once, that lines are being lost (a full disk); the run goes on
    public MetricsFile(Path file, Consumer<String> complain) {
        this.file = file;
        this.complain = complain;
    }

    /// @throws UncheckedIOException if the file cannot be started; a line that is lost later stops nothing
    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.Started started -> start(started.firstStep());
            case RunEvent.StepDone step when !step.logged() -> {}
            default -> {
                Map<String, Number> line = values(event);
                if (!line.isEmpty()) {
                    append(line);
                }
            }
        }
    }

    /// The numbers of an event, in order; none of one that has none.
    static Map<String, Number> values(RunEvent event) {
        Map<String, Number> line = new LinkedHashMap<>();
        switch (event) {
            case RunEvent.StepDone step -> {
                return logged(step);
            }
            case RunEvent.Evaluated evaluated -> {
                line.put("step", evaluated.step());
                line.put("epoch", evaluated.epoch());
                line.put("eval_loss", evaluated.loss());
                line.put("eval_runtime", evaluated.seconds());
                line.put("eval_label_tokens", evaluated.labelTokens());
            }
            case RunEvent.Finished finished -> {
                line.put("step", finished.step());
                line.put("train_loss", finished.trainLoss());
                line.put("train_runtime", finished.seconds());
                line.put("tokens", finished.tokens());
                line.put("peak_bytes", finished.peakBytes());
            }
            default -> {}
        }
        return line;
    }

    private static Map<String, Number> logged(RunEvent.StepDone step) {
        Map<String, Number> line = new LinkedHashMap<>();
        line.put("step", step.step());
        line.put("epoch", step.epoch());
        line.put("loss", step.loss());
        line.put("grad_norm", step.gradNorm());
        line.put("learning_rate", step.learningRate());
        line.put("tokens_per_second", step.tokensPerSecond());
        line.put("trained_tokens", step.tokens());
        line.put("label_tokens", step.labelTokens());
        line.put("peak_bytes", step.peakBytes());
        return line;
    }

    private void start(long firstStep) {
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            List<String> kept = firstStep == 0 ? List.of() : kept(firstStep);
            EventsFile.replace(file, kept);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be written", e);
        }
    }

    /// Whole lines of steps that are behind the checkpoint. The end line of a run that was done and is now
    /// prolonged goes too: it speaks of an end that was none.
    private List<String> kept(long firstStep) throws IOException {
        try {
            return EventsFile.lines(file).stream()
                    .filter(line -> {
                        Matcher step = STEP.matcher(line);
                        return step.lookingAt()
                                && Long.parseLong(step.group(1)) <= firstStep
                                && line.endsWith("}")
                                && !line.contains("\"train_loss\":");
                    })
                    .toList();
        } catch (NoSuchFileException e) {
            return List.of();
        }
    }

    private void append(Map<String, Number> values) {
        // Java writes doubles as Python reads them: 2.0E-5, NaN, Infinity
        String line = values.entrySet().stream()
                .map(e -> "\"" + e.getKey() + "\":" + e.getValue())
                .collect(Collectors.joining(",", "{", "}\n"));
        try {
            // opened for each line: a few a minute, and no handle to lose
            Files.writeString(file, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            if (!broken) {
                broken = true;
                complain.accept("metrics are being lost: " + file + " cannot be written (" + e.getMessage() + ")");
            }
        }
    }
}
