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
/// evaluation losses, four for each epoch. `replay` lets ASHA decide over them.
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
        if (args[0].equals("record")) {
            record(curves, Path.of(args[2]), Path.of(args[3]), Integer.parseInt(args[4]));
        } else {
            System.out.print(table(curves));
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
            for (int concurrent : new int[] {1, 2, CONCURRENT, TRIALS}) {
                Found whole = replay(all, new NoScheduler(), concurrent);
                Found asha = replay(all, new Asha(ASHA, seed), concurrent);
                out.append("%4d  %7d  %6d  %7d  %11.4f  %13.4f  %5.2f%%  %5.1f%%%n"
                        .formatted(
                                seed,
                                concurrent,
                                all.size(),
                                asha.stopped(),
                                whole.loss(),
                                asha.loss(),
                                100 * (asha.loss() / whole.loss() - 1),
                                100 * asha.tokens() / whole.tokens()));
            }
        }
        return out.toString();
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
        JsonNode rows = JSON.readTree(shared.resolve("data/alpaca_en_demo.json").toFile());
        writeRows(work.resolve("train.jsonl"), rows, 0, ROWS);
        writeRows(work.resolve("eval.jsonl"), rows, ROWS, ROWS + EVALUATION_ROWS);
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
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                "org.sftnative.cli.Main",
                "train"));
        Map<String, Object> settings = new LinkedHashMap<>();
        settings.put("model", shared.resolve("reference/base"));
        settings.put("train-file", work.resolve("train.jsonl"));
        settings.put("eval-file", work.resolve("eval.jsonl"));
        settings.put("output-dir", out);
        settings.put("max-length", 64);
        settings.put("gradient-accumulation-steps", 1);
        settings.put("threads", 1);
        settings.put("save-strategy", "no");
        settings.put("eval-strategy", "steps");
        settings.put("eval-steps", ROWS / batch / REPORTS_AN_EPOCH);
        values.forEach((name, value) -> settings.put(name.replace('_', '-'), value));
        settings.forEach((name, value) -> command.addAll(List.of("--" + name, value.toString())));
        command.add("--overwrite-output-dir");
        Path log = work.resolve("trial-" + seed + "-" + trial + ".log");
        int status = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start()
                .waitFor();
        if (status != 0) {
            throw new IOException("train ended with " + status + ": " + log);
        }
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

    private static void writeRows(Path file, JsonNode rows, int from, int to) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = from; i < to; i++) {
            text.append(rows.get(i)).append('\n');
        }
        Files.writeString(file, text);
    }
}
