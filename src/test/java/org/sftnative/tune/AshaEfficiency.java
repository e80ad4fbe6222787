package org.sftnative.tune;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.sftnative.tune.StudyEvent.Report;
import org.sftnative.tune.StudyEvent.TrialAdded;
import org.sftnative.tune.StudyEvent.TrialEnded;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What ASHA saves on real training curves: the program of `scripts/asha-efficiency`.
///
/// `record` trains 20 random trials of the tutorial's space for each of five study seeds to their end, and keeps their
/// evaluation losses, four for each epoch. `live` runs the study of one seed as a person would, and keeps where its
/// trials ended. `replay` lets ASHA decide over the curves, and prints live studies beside.
final class AshaEfficiency {
    static final int TRIALS = 20;
    static final int SEEDS = 5;
    private static final int ROWS = 128;
    private static final int EVALUATION_ROWS = 32;
    private static final int REPORTS_AN_EPOCH = 4;

    /// The tutorial's epochs are at most 5; a trial is judged first after half of one.
    static final Asha.Settings ASHA = new Asha.Settings(Mode.MIN, 5, 0.5, 4, 1, true);

    /// Trials at once, in the study that is replayed.
    static final int CONCURRENT = 4;

    private static final JsonMapper JSON = new JsonMapper();

    /// A trial that ran to its end.
    ///
    /// @param tokens trained until its end
    /// @param curve its evaluation losses, in order of age; the last is at the end
    record Curve(int trial, Map<String, Object> values, long tokens, List<Report> curve) {
        double end() {
            return curve.getLast().metric();
        }

        double tokensUntil(double epoch) {
            return tokens * epoch / curve.getLast().time();
        }
    }

    /// What a study found, and what it spent.
    record Found(double loss, double tokens, int stopped) {}

    private AshaEfficiency() {}

    public static void main(String[] args) throws Exception {
        Path curves = Path.of(args[1]);
        switch (args[0]) {
            case "record" -> record(curves, Path.of(args[2]), Path.of(args[3]), Integer.parseInt(args[4]));
            case "live" -> live(curves, Path.of(args[2]), Path.of(args[3]), Integer.parseInt(args[4]));
            default -> System.out.print(table(curves));
        }
    }

    static String table(Path curves) throws IOException {
        StringBuilder out =
                new StringBuilder("seed  at once  trials  stopped  best of all  found by ASHA   worse  tokens\n");
        for (int seed = 1; seed <= SEEDS; seed++) {
            List<Curve> all = read(curves, seed);
            if (all.size() < TRIALS) {
                out.append("%4d  %d of %d trials are recorded: scripts/asha-efficiency --record%n"
                        .formatted(seed, all.size(), TRIALS));
                continue;
            }
            Found whole = replay(all, new NoScheduler(), 1);
            for (int concurrent : new int[] {1, 2, CONCURRENT, TRIALS}) {
                out.append(line(seed, "" + concurrent, whole, replay(all, new Asha(ASHA, seed), concurrent)));
            }
            if (Files.exists(liveFile(curves, seed))) {
                out.append(line(seed, "2, live", whole, found(all, readLive(curves, seed))));
            }
        }
        return out.toString();
    }

    private static String line(int seed, String concurrent, Found whole, Found asha) {
        return "%4d  %7s  %6d  %7d  %11.4f  %13.4f  %5.2f%%  %5.1f%%%n"
                .formatted(
                        seed,
                        concurrent,
                        TRIALS,
                        asha.stopped(),
                        whole.loss(),
                        asha.loss(),
                        100 * (asha.loss() / whole.loss() - 1),
                        100 * asha.tokens() / whole.tokens());
    }

    /// What a live study found, whose trials ended with these reports.
    static Found found(List<Curve> curves, List<Report> ends) {
        double tokens = 0;
        int stopped = 0;
        for (Report end : ends) {
            Curve curve = curves.get(end.trial());
            tokens += curve.tokensUntil(end.time());
            stopped += end.time() < curve.curve().getLast().time() ? 1 : 0;
        }
        return new Found(ends.stream().mapToDouble(Report::metric).min().orElseThrow(), tokens, stopped);
    }

    /// The trials' last reports, from what `tune show --csv` printed of a live study; losses with the curves' digits.
    static List<Report> readLive(Path curves, int seed) throws IOException {
        List<String> lines = Files.readAllLines(liveFile(curves, seed));
        List<String> names = List.of(lines.getFirst().split(","));
        return lines.stream()
                .skip(1)
                .map(line -> line.split(","))
                .map(cells -> new Report(
                        Integer.parseInt(cells[0]),
                        Double.parseDouble(cells[names.indexOf("epoch")]),
                        Math.rint(1e5 * Double.parseDouble(cells[names.indexOf("eval_loss")])) / 1e5))
                .toList();
    }

    static Path liveFile(Path curves, int seed) {
        return curves.resolve("live-" + seed + ".csv");
    }

    /// Runs a study over recorded curves: `concurrent` trials at once, each taking time by its tokens.
    static Found replay(List<Curve> curves, Scheduler scheduler, int concurrent) {
        record Due(double when, Curve curve, int report, double started) {}
        PriorityQueue<Due> due = new PriorityQueue<>(Comparator.comparingDouble(Due::when)
                .thenComparingInt(d -> d.curve().trial()));
        int next = 0;
        double best = Double.POSITIVE_INFINITY;
        double tokens = 0;
        int stopped = 0;
        double now = 0;
        while (next < curves.size() || !due.isEmpty()) {
            while (next < curves.size() && due.size() < concurrent) {
                Curve curve = curves.get(next++);
                scheduler.on(new TrialAdded(curve.trial(), scheduler.bracket(curve.trial())));
                due.add(new Due(now + curve.tokensUntil(curve.curve().getFirst().time()), curve, 0, now));
            }
            Due at = due.poll();
            now = at.when();
            Report report = at.curve().curve().get(at.report());
            boolean last = at.report() == at.curve().curve().size() - 1;
            boolean stop = scheduler.on(report) == Decision.STOP;
            if (last || stop) {
                stopped += last ? 0 : 1;
                tokens += at.curve().tokensUntil(report.time());
                best = Math.min(best, report.metric()); // a trial is worth its last report
                TrialState state = last ? TrialState.COMPLETED : TrialState.STOPPED;
                scheduler.on(new TrialEnded(at.curve().trial(), state, Optional.of(report)));
            } else {
                double age = at.curve().curve().get(at.report() + 1).time();
                due.add(new Due(at.started() + at.curve().tokensUntil(age), at.curve(), at.report() + 1, at.started()));
            }
        }
        return new Found(best, tokens, stopped);
    }

    static List<Curve> read(Path curves, int seed) throws IOException {
        Path file = curves.resolve("seed-" + seed + ".jsonl");
        if (!Files.exists(file)) {
            return List.of();
        }
        List<Curve> all = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            JsonNode node = JSON.readTree(line);
            int trial = node.get("trial").asInt();
            List<Report> reports = new ArrayList<>();
            for (JsonNode point : node.get("eval_loss")) {
                reports.add(
                        new Report(trial, point.get(0).asDouble(), point.get(1).asDouble()));
            }
            Map<String, Object> values = new LinkedHashMap<>();
            node.get("settings")
                    .properties()
                    .forEach(e -> values.put(e.getKey(), JSON.treeToValue(e.getValue(), Object.class)));
            all.add(new Curve(trial, values, node.get("tokens").asLong(), reports));
        }
        all.sort(Comparator.comparingInt(Curve::trial));
        return all;
    }

    /// Trains what is not recorded yet.
    private static void record(Path curves, Path shared, Path work, int jobs) throws Exception {
        Files.createDirectories(curves);
        Files.createDirectories(work);
        writeRows(shared, work);
        SearchSpace space = SearchSpace.parse(SearchSpace.example(), "example");
        record Task(int seed, int trial) {}
        ConcurrentLinkedQueue<Task> tasks = new ConcurrentLinkedQueue<>();
        for (int seed = 1; seed <= SEEDS; seed++) {
            List<Integer> done = read(curves, seed).stream().map(Curve::trial).toList();
            for (int trial = 0; trial < TRIALS; trial++) {
                if (!done.contains(trial)) {
                    tasks.add(new Task(seed, trial));
                }
            }
        }
        List<Thread> threads = IntStream.range(0, jobs)
                .mapToObj(job -> Thread.ofPlatform().start(() -> {
                    for (Task task = tasks.poll(); task != null; task = tasks.poll()) {
                        try {
                            train(curves, shared, work, space, task.seed(), task.trial());
                        } catch (IOException | InterruptedException e) {
                            throw new IllegalStateException(task + " failed", e);
                        }
                    }
                }))
                .toList();
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private static void train(Path curves, Path shared, Path work, SearchSpace space, int seed, int trial)
            throws IOException, InterruptedException {
        Map<String, Object> values = space.sample(seed, trial);
        long batch = (Long) values.get("per_device_train_batch_size");
        Path out = work.resolve("trial-" + seed + "-" + trial);
        Map<String, Object> settings = settings(shared, work);
        settings.put("output_dir", out);
        settings.put("eval_steps", evalSteps(batch));
        settings.putAll(values);
        List<String> arguments = new ArrayList<>(List.of("train", "--overwrite-output-dir"));
        settings.forEach((name, value) -> arguments.addAll(List.of("--" + name.replace('_', '-'), value.toString())));
        program(arguments, work.resolve("trial-" + seed + "-" + trial + ".log"));
        List<String> points = new ArrayList<>();
        long tokens = 0;
        for (String line : Files.readAllLines(out.resolve("metrics.jsonl"))) {
            JsonNode node = JSON.readTree(line);
            if (node.has("eval_loss")) {
                points.add("[" + node.get("epoch").asDouble() + ","
                        + String.format(
                                Locale.ROOT, "%.5f", node.get("eval_loss").asDouble()) + "]");
            }
            tokens = node.has("tokens") ? node.get("tokens").asLong() : tokens;
        }
        String line = "{\"trial\":" + trial + ",\"settings\":" + JSON.writeValueAsString(values) + ",\"tokens\":"
                + tokens + ",\"eval_loss\":[" + String.join(",", points) + "]}\n";
        synchronized (AshaEfficiency.class) {
            Files.writeString(
                    curves.resolve("seed-" + seed + ".jsonl"),
                    line,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        }
        System.out.println("seed " + seed + ", trial " + trial + ": " + points.getLast());
        try (Stream<Path> files = Files.walk(out)) { // weights: 26 MB a trial
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }

    /// Runs a study of one seed as a person would, and keeps where its trials ended.
    private static void live(Path curves, Path shared, Path work, int seed) throws IOException, InterruptedException {
        Files.createDirectories(work);
        writeRows(shared, work);
        StringBuilder run = new StringBuilder();
        settings(shared, work)
                .forEach((name, value) ->
                        run.append(name).append(": \"").append(value).append("\"\n"));
        StringBuilder space = new StringBuilder(SearchSpace.example()).append("eval_steps:\n");
        for (long batch : new long[] {2, 4, 8}) {
            space.append(
                    "  - when: {per_device_train_batch_size: " + batch + "}\n    value: " + evalSteps(batch) + "\n");
        }
        Path study = work.resolve("live-" + seed);
        List<String> arguments = new ArrayList<>(List.of("tune", "--output-dir", study.toString()));
        arguments.addAll(List.of(
                "--config", Files.writeString(work.resolve("run.yaml"), run).toString()));
        arguments.addAll(List.of(
                "--space", Files.writeString(work.resolve("space.yaml"), space).toString()));
        arguments.addAll(List.of("--num-samples", "" + TRIALS, "--seed", "" + seed, "--concurrent", "2", "--resume"));
        arguments.addAll(List.of("--grace-period", "" + ASHA.gracePeriod()));
        arguments.addAll(List.of("--reduction-factor", "" + ASHA.reductionFactor(), "--max-t", "" + ASHA.maxT()));
        program(arguments, work.resolve("live-" + seed + ".log"));
        program(List.of("tune", "show", study.toString(), "--csv"), liveFile(curves, seed));
    }

    /// What all trials share.
    private static Map<String, Object> settings(Path shared, Path work) {
        Map<String, Object> settings = new LinkedHashMap<>();
        settings.put("model", shared.resolve("reference/base"));
        settings.put("train_file", work.resolve("train.jsonl"));
        settings.put("eval_file", work.resolve("eval.jsonl"));
        settings.put("max_length", 64);
        settings.put("gradient_accumulation_steps", 1);
        settings.put("threads", 1);
        settings.put("save_strategy", "no");
        settings.put("eval_strategy", "steps");
        return settings;
    }

    private static long evalSteps(long batch) {
        return ROWS / batch / REPORTS_AN_EPOCH;
    }

    /// Runs this program, and waits for it.
    private static void program(List<String> arguments, Path out) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                "org.sftnative.cli.Main"));
        command.addAll(arguments);
        int status = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(out.toFile())
                .start()
                .waitFor();
        if (status != 0) {
            throw new IOException(arguments.getFirst() + " ended with " + status + ": " + out);
        }
    }

    private static void writeRows(Path shared, Path work) throws IOException {
        JsonNode rows = JSON.readTree(shared.resolve("data/alpaca_en_demo.json").toFile());
        writeRows(work.resolve("train.jsonl"), rows, 0, ROWS);
        writeRows(work.resolve("eval.jsonl"), rows, ROWS, ROWS + EVALUATION_ROWS);
    }

    private static void writeRows(Path file, JsonNode rows, int from, int to) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = from; i < to; i++) {
            text.append(rows.get(i)).append('\n');
        }
        Files.writeString(file, text);
    }
}
