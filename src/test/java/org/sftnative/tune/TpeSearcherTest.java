package org.sftnative.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.tune.StudyEvent.Report;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Against Optuna's TPESampler, recorded by `scripts/golden/tune_tpe.py`.
class TpeSearcherTest {
    private static final JsonNode GOLDEN = golden();

    private static JsonNode golden() {
        try (var in = TpeSearcherTest.class.getResourceAsStream("/golden/tune/tpe.json.gz");
                var text = new GZIPInputStream(in)) {
            return new JsonMapper().readTree(text);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /// A function of a trial's values, and its search space. Settings stand in for the functions' arguments.
    private record Problem(String name, String space, Function<Map<String, Object>, Double> function) {}

    private static final String[] X = {
        "learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "max_grad_norm", "neftune_noise_alpha"
    };

    private static String box(int n, String range) {
        return Arrays.stream(X, 0, n).map(x -> x + ": " + range + "\n").reduce("", String::concat);
    }

    private static double x(Map<String, Object> values, int i) {
        return (Double) values.get(X[i]);
    }

    private static final List<Problem> PROBLEMS = List.of(
            new Problem(
                    "sphere",
                    box(4, "uniform(-5, 5)"),
                    v -> IntStream.range(0, 4)
                            .mapToDouble(i -> x(v, i) * x(v, i))
                            .sum()),
            new Problem(
                    "rosenbrock",
                    box(3, "uniform(-2, 2)"),
                    v -> IntStream.range(0, 2)
                            .mapToDouble(i ->
                                    100 * Math.pow(x(v, i + 1) - x(v, i) * x(v, i), 2) + Math.pow(1 - x(v, i), 2))
                            .sum()),
            new Problem("branin", X[0] + ": uniform(-5, 10)\n" + X[1] + ": uniform(0, 15)\n", v -> {
                double x = x(v, 0);
                double inner = x(v, 1) - 5.1 / (4 * Math.PI * Math.PI) * x * x + 5 / Math.PI * x - 6;
                return inner * inner + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) + 10;
            }),
            new Problem("hartmann6", box(6, "uniform(0, 1)"), TpeSearcherTest::hartmann6),
            new Problem(
                    "mixed",
                    """
                    learning_rate: loguniform(1e-5, 1e-1)
                    lr_scheduler_type: choice([linear, cosine, constant])
                    save_steps: randint(1, 17)
                    eval_steps: lograndint(1, 129)
                    """,
                    v -> Math.pow(Math.log10((Double) v.get("learning_rate")) + 3, 2)
                            + Map.of("linear", 0.5, "cosine", 0.0, "constant", 1.0)
                                    .get(v.get("lr_scheduler_type"))
                            + 0.05 * Math.abs((Long) v.get("save_steps") - 11)
                            + 0.3 * Math.abs(Math.log((Long) v.get("eval_steps")) / Math.log(2) - 4)),
            new Problem(
                    "conditional",
                    """
                    lr_scheduler_type: choice([linear, cosine])
                    learning_rate: uniform(-5, 5)
                    weight_decay: {when: {lr_scheduler_type: linear}, value: "uniform(0, 2)"}
                    adam_beta1: {when: {lr_scheduler_type: cosine}, value: "uniform(-1, 1)"}
                    """,
                    v -> v.get("lr_scheduler_type").equals("linear")
                            ? 1 + 0.1 * Math.pow(x(v, 0) - 2, 2) + x(v, 1)
                            : 0.1 * Math.pow(x(v, 0) + 2, 2) + 4 * Math.abs(x(v, 2) - 0.3)));

    private static double hartmann6(Map<String, Object> v) {
        double[] alpha = {1.0, 1.2, 3.0, 3.2};
        double[][] a = {
            {10, 3, 17, 3.5, 1.7, 8}, {0.05, 10, 17, 0.1, 8, 14}, {3, 3.5, 1.7, 10, 17, 8}, {17, 8, 0.05, 10, 0.1, 14}
        };
        double[][] p = {
            {1312, 1696, 5569, 124, 8283, 5886},
            {2329, 4135, 8307, 3736, 1004, 9991},
            {2348, 1451, 3522, 2883, 3047, 6650},
            {4047, 8828, 8732, 5743, 1091, 381}
        };
        double sum = 0;
        for (int i = 0; i < 4; i++) {
            double inner = 0;
            for (int j = 0; j < 6; j++) {
                inner += a[i][j] * Math.pow(x(v, j) - 1e-4 * p[i][j], 2);
            }
            sum -= alpha[i] * Math.exp(-inner);
        }
        return sum;
    }

    private static Trial completed(int number, Map<String, Object> values, double metric) {
        return new Trial(number, values, TrialState.COMPLETED, List.of(new Report(number, 1, metric)));
    }

    private static double best(Searcher searcher, Problem problem, int trials) {
        List<Trial> history = new ArrayList<>();
        double best = Double.POSITIVE_INFINITY;
        for (int k = 0; k < trials; k++) {
            Map<String, Object> values = searcher.suggest(k, history);
            double metric = problem.function().apply(values);
            best = Math.min(best, metric);
            history.add(completed(k, values, metric));
        }
        return best;
    }

    /// Of the one-sided Mann-Whitney test: how likely ours would be this much above theirs, were both from one
    /// distribution. By the normal approximation, which 50 against 50 allow; equal values count half.
    private static double chanceOfBeingWorse(double[] ours, double[] theirs) {
        double wins = 0;
        for (double a : ours) {
            for (double b : theirs) {
                wins += a > b ? 1 : a == b ? 0.5 : 0;
            }
        }
        double n = ours.length;
        double m = theirs.length;
        double z = (wins - n * m / 2) / Math.sqrt(n * m * (n + m + 1) / 12);
        return 1 - Gauss.below(z);
    }

    private static double median(double[] values) {
        return Percentile.median(values);
    }

    /// What each problem's bests are, ours beside Optuna's.
    private static List<String> worse(Function<Problem, Function<Long, Searcher>> searchers, double level) {
        List<String> worse = new ArrayList<>();
        for (Problem problem : PROBLEMS) {
            JsonNode recorded = GOLDEN.get("searches").get(problem.name());
            double[] theirs =
                    recorded.valueStream().mapToDouble(JsonNode::asDouble).toArray();
            double[] ours = IntStream.range(0, theirs.length)
                    .parallel()
                    .mapToDouble(seed -> best(
                            searchers.apply(problem).apply((long) seed),
                            problem,
                            GOLDEN.get("trials").asInt()))
                    .toArray();
            double chance = chanceOfBeingWorse(ours, theirs);
            String line = "%s: median best %.4f, Optuna's %.4f, p %.4f"
                    .formatted(problem.name(), median(ours), median(theirs), chance);
            if (chance < level) {
                worse.add(line);
            }
        }
        return worse;
    }

    /// Worse on none of six functions: the one-sided Mann-Whitney test over 50 seeds each, at the level of 1% for each.
    @Test
    void itFindsNoWorseThanOptunaInTheSameNumberOfTrials() {
        assertEquals(
                List.of(),
                worse(
                        problem -> seed ->
                                new TpeSearcher(SearchSpace.parse(problem.space(), problem.name()), seed, Mode.MIN),
                        0.01));
    }

    @Test
    void theComparisonWithOptunaTellsRandomSearchApart() {
        List<String> worse =
                worse(problem -> seed -> new RandomSearcher(SearchSpace.parse(problem.space(), ""), seed), 0.01);
        assertEquals(PROBLEMS.size(), worse.size(), worse::toString);
    }

    @Test
    void densitiesAreOptunas() {
        Map<String, List<Domain>> spaces = new LinkedHashMap<>();
        Domain a = new Domain.Real(-5, 5, false, 0);
        Domain b = new Domain.Real(1e-5, 1e-1, true, 0);
        Domain c = new Domain.Whole(1, 9, false, 1);
        Domain d = new Domain.Choice(List.of(0L, 1L, 2L), false);
        spaces.put("uniform", List.of(a));
        spaces.put("log", List.of(b));
        spaces.put("step", List.of(new Domain.Real(0, 1, false, 0.25)));
        spaces.put("int", List.of(c));
        spaces.put("intlog", List.of(new Domain.Whole(1, 64, true, 1)));
        spaces.put("choice", List.of(d));
        spaces.put("several", List.of(a, b, d));
        spaces.put("mixed", List.of(a, b, new Domain.Whole(1, 1000, false, 1), d));
        int compared = 0;
        for (JsonNode one : GOLDEN.get("densities")) {
            Parzen parzen = new Parzen(spaces.get(one.get("space").asString()), points(one.get("observed")));
            double[][] points = points(one.get("points"));
            for (int i = 0; i < points.length; i++) {
                // sums of at most 41 kernels in fp64; the largest difference measured is 2e-11
                assertEquals(one.get("log_pdf").get(i).asDouble(), parzen.logDensity(points[i]), 1e-9, one::toString);
                compared++;
            }
        }
        assertEquals((5 * 7 + 3 * 6) * 6, compared);
    }

    private static double[][] points(JsonNode rows) {
        return rows.valueStream()
                .map(row -> row.valueStream().mapToDouble(JsonNode::asDouble).toArray())
                .toArray(double[][]::new);
    }

    @Test
    void samplesFollowTheDensity() {
        Domain domain = new Domain.Whole(1, 9, false, 1);
        Parzen parzen = new Parzen(List.of(domain), new double[][] {{2}, {2}, {7}});
        int[] counts = new int[10];
        Draws draws = Draws.of(1, 0, "test");
        for (int i = 0; i < 20_000; i++) {
            counts[(int) parzen.sample(draws)[0]]++;
        }
        double sum = 0;
        for (int x = 1; x <= 9; x++) {
            double wanted = 20_000 * Math.exp(parzen.logDensity(new double[] {x}));
            assertEquals(wanted, counts[x], 5 * Math.sqrt(wanted), "value " + x);
            sum += wanted;
        }
        assertEquals(20_000, sum, 1e-6);
    }

    private static final String TWO = "learning_rate: uniform(0, 1)\nweight_decay: uniform(0, 1)\n";

    private static List<Trial> history(SearchSpace space, int n) {
        List<Trial> history = new ArrayList<>();
        for (int k = 0; k < n; k++) {
            Map<String, Object> values = space.sample(9, k);
            history.add(completed(k, values, (Double) values.get("learning_rate")));
        }
        return history;
    }

    @Test
    void whatItSaysDependsOnTheReportsAndNotOnTheirOrder() {
        SearchSpace space = SearchSpace.parse(TWO, "");
        List<Trial> history = history(space, 20);
        List<Trial> shuffled = new ArrayList<>(history);
        Collections.shuffle(shuffled, new java.util.Random(1));
        Map<String, Object> said = new TpeSearcher(space, 3, Mode.MIN).suggest(20, history);
        assertEquals(said, new TpeSearcher(space, 3, Mode.MIN).suggest(20, shuffled));
        assertNotEquals(said, new TpeSearcher(space, 3, Mode.MIN).suggest(21, history));
        assertNotEquals(said, new TpeSearcher(space, 3, Mode.MAX).suggest(20, history));
    }

    @Test
    void failedTrialsAndThoseWithoutANumberDoNotCount() {
        SearchSpace space = SearchSpace.parse(TWO, "");
        List<Trial> history = history(space, 15);
        Map<String, Object> said = new TpeSearcher(space, 3, Mode.MIN).suggest(20, history);
        List<Trial> more = new ArrayList<>(history);
        more.add(new Trial(15, space.sample(0, 99), TrialState.FAILED, List.of(new Report(15, 1, -5))));
        more.add(completed(16, space.sample(0, 98), Double.NaN));
        assertEquals(said, new TpeSearcher(space, 3, Mode.MIN).suggest(20, more));
    }

    @Test
    void aRunningTrialKeepsOthersFromItsPlace() {
        SearchSpace space = SearchSpace.parse("learning_rate: uniform(0, 1)", "");
        List<Trial> history = new ArrayList<>();
        for (int k = 0; k < 20; k++) {
            double x = (k + 0.5) / 20;
            history.add(completed(k, Map.of("learning_rate", x), Math.abs(x - 0.5)));
        }
        TpeSearcher tpe = new TpeSearcher(space, 1, Mode.MIN);
        double alone = 0;
        double beside = 0;
        for (int k = 100; k < 200; k++) {
            alone += Math.abs((Double) tpe.suggest(k, history).get("learning_rate") - 0.5);
            List<Trial> busy = new ArrayList<>(history);
            for (int r = 0; r < 5; r++) {
                busy.add(new Trial(20 + r, Map.of("learning_rate", 0.5), TrialState.RUNNING, List.of()));
            }
            beside += Math.abs((Double) tpe.suggest(k, busy).get("learning_rate") - 0.5);
        }
        assertTrue(beside > 1.2 * alone, alone + " alone, " + beside + " beside running trials");
    }

    @Test
    void stoppedTrialsRankBehindEndedOnesAndTheOlderFirst() {
        SearchSpace space = SearchSpace.parse("learning_rate: uniform(0, 1)", "");
        List<Trial> history = new ArrayList<>();
        for (int k = 0; k < 20; k++) {
            double x = (k + 0.5) / 20;
            // a stopped trial with a splendid loss near 0.1 is no model to follow; the ended one at 0.9 is
            boolean ended = x > 0.85;
            Report report = new Report(k, x > 0.5 ? 2 : 1, ended ? 5 : x < 0.2 ? -100 : 6);
            history.add(new Trial(
                    k, Map.of("learning_rate", x), ended ? TrialState.COMPLETED : TrialState.STOPPED, List.of(report)));
        }
        TpeSearcher tpe = new TpeSearcher(space, 1, Mode.MIN);
        double mean = IntStream.range(100, 200)
                .mapToDouble(k -> (Double) tpe.suggest(k, history).get("learning_rate"))
                .average()
                .orElseThrow();
        assertTrue(mean > 0.75, "mean " + mean);
    }

    @Test
    void whatTpeCannotDoIsRefused() {
        for (String wrong : List.of("save_steps: grid_search([1, 2])", "learning_rate: randn(0.1, 0.01)")) {
            String message = assertThrows(
                            InputException.class,
                            () -> new TpeSearcher(SearchSpace.parse(wrong, "space.yaml"), 1, Mode.MIN))
                    .getMessage();
            assertTrue(message.contains("space.yaml:1"), message);
        }
    }
}
