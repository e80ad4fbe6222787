package org.sftnative.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The whole program on the project's small model, in this process or in one of its own.
final class Program {
    /// A trained LLaMA of 96 hidden, 3 blocks, 2048 tokens.
    static final Path BASE = Path.of("src/test/resources/golden/base");

    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .build();
    private static final Path ROWS = Path.of("data/quickstart.jsonl");

    private Program() {}

    /// What a run left behind.
    record Outcome(int status, String out, String err) {
        Outcome succeeded() {
            if (status != 0) {
                throw new AssertionError("exit status " + status + "\n" + err + out);
            }
            return this;
        }
    }

    /// Runs a command in this process.
    static Outcome run(String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int status = new CommandLineProgram(
                        new Rooms(),
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8),
                        false)
                .run(args);
        return new Outcome(status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /// Runs a command in a JVM of its own, behind a prefix of the command line such as `bash -c ...`.
    static Outcome process(Map<String, String> environment, List<String> prefix, String... args) throws Exception {
        List<String> command = new ArrayList<>(prefix);
        command.addAll(command(args));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeIf(name -> name.startsWith("LC_") || name.startsWith("LANG"));
        builder.environment().putAll(environment);
        Path out = Files.createTempFile("out", ".txt");
        Path err = Files.createTempFile("err", ".txt");
        try {
            Process process = builder.redirectOutput(out.toFile())
                    .redirectError(err.toFile())
                    .start();
            if (!process.waitFor(2, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                throw new AssertionError("not done after two minutes: " + String.join(" ", args));
            }
            return new Outcome(process.exitValue(), Files.readString(out), Files.readString(err));
        } finally {
            Files.delete(out);
            Files.delete(err);
        }
    }

    /// A JVM of its own that runs a command. It lives for seconds: the optimising compiler and a parallel collector
    /// would take a third of the processor's time, and give nothing back (7.2 s of it for 24 steps, 4.5 s without).
    static List<String> command(String... args) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
        command.addAll(Arrays.asList(args));
        return command;
    }

    /// `train` on the small model with one thread: `--output-dir OUT --train-file ROWS` and what else is given.
    static Outcome train(Path out, Path rows, String... more) {
        return train(BASE, out, rows, more);
    }

    static Outcome train(Path model, Path out, Path rows, String... more) {
        List<String> args = training(model.toString(), out, rows);
        args.addAll(Arrays.asList(more));
        return run(args.toArray(String[]::new));
    }

    /// The arguments of a run on one thread, to be added to.
    static List<String> training(String model, Path out, Path rows) {
        return new ArrayList<>(List.of(
                "train",
                "--model",
                model,
                "--threads",
                "1",
                "--output-dir",
                out.toString(),
                "--train-file",
                rows.toString()));
    }

    /// Some rows of `data/quickstart.jsonl`, from 0.
    static Path rows(Path directory, int from, int to) throws IOException {
        List<String> lines = Files.readAllLines(ROWS).subList(from, to);
        return Files.write(directory.resolve("rows-" + from + "-" + to + ".jsonl"), lines);
    }

    /// A copy of the small model, to be damaged.
    static Path copyOfBase(Path directory) throws IOException {
        return copy(BASE, directory.resolve("model"));
    }

    static Path copy(Path from, Path to) throws IOException {
        try (Stream<Path> all = Files.walk(from)) {
            for (Path file : all.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
        return to;
    }

    /// The lines of a run's `metrics.jsonl`.
    static List<ObjectNode> metrics(Path run) throws IOException {
        return Files.readAllLines(run.resolve("metrics.jsonl")).stream()
                .map(line -> (ObjectNode) JSON.readTree(line))
                .toList();
    }

    /// The same without what two equal runs differ in: times, memory, and the tokens of one process.
    static List<ObjectNode> numbers(Path run) throws IOException {
        List<ObjectNode> lines = metrics(run);
        lines.forEach(line ->
                line.remove(List.of("tokens_per_second", "peak_bytes", "train_runtime", "eval_runtime", "tokens")));
        return lines;
    }

    /// Values of one key, of the lines that have it: `eval_loss`.
    static List<Double> values(Path run, String key) throws IOException {
        return metrics(run).stream()
                .filter(line -> line.has(key))
                .map(line -> line.get(key).asDouble())
                .toList();
    }

    /// Steps of the lines that have a key.
    static List<Integer> steps(Path run, String key) throws IOException {
        return metrics(run).stream()
                .filter(line -> line.has(key))
                .map(line -> line.get("step").asInt())
                .toList();
    }

    /// Mean loss of rows, as `eval` prints it.
    static double eval(Path model, Path rows, String... more) {
        List<String> line = new ArrayList<>(List.of("eval", "--model", model.toString()));
        line.addAll(List.of("--eval-file", rows.toString(), "--threads", "1"));
        line.addAll(List.of(more));
        Outcome outcome = run(line.toArray(String[]::new)).succeeded();
        return Double.parseDouble(outcome.out().split(" +")[1]);
    }

    /// Every file below a directory, hidden ones too, with its content.
    static Map<String, String> contents(Path directory) {
        Map<String, String> contents = new TreeMap<>();
        try (Stream<Path> all = Files.walk(directory, FileVisitOption.FOLLOW_LINKS)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                contents.put(
                        directory.relativize(file).toString(), Files.readString(file, StandardCharsets.ISO_8859_1));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return contents;
    }
}
