package org.sftnative.tune;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.sftnative.InputException;

/// The tree-structured Parzen estimator, multivariate, with the defaults of Optuna 5.0's TPESampler: ten trials at
/// random; then the ended trials are split into the best tenth (at most 25) and the others, each group becomes a
/// density
/// ([Parzen]), and of 24 draws from the first the one is taken at which the first most exceeds the second. Trials that
/// still run count among the others, so that no two are tried in one place. Trials stopped early rank behind those that
/// ended, the older ones first. Failed trials, and ended ones without a number, do not count.
///
/// Settings that every ended trial had are drawn together; those that were there only under conditions, each alone from
/// the trials that had it.
/// Source: Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127.
public final class TpeSearcher implements Searcher {
    private static final int STARTUP_TRIALS = 10;
    private static final int CANDIDATES = 24;

    private final SearchSpace space;
    private final long seed;
    private final Mode mode;

    /// @throws InputException if the space has a grid, or a normal distribution
    public TpeSearcher(SearchSpace space, long seed, Mode mode) {
        for (Parameter parameter : space.parameters()) {
            String where = " '" + parameter.setting() + "' (" + parameter.origin() + ")";
            if (parameter.isGrid()) {
                throw new InputException("tpe takes no grid, as it chooses each trial by the ones before:" + where
                        + "\n  write choice, or search with random or grid");
            }
            if (parameter.domain() instanceof Domain.Normal) {
                throw new InputException("tpe takes no normal distribution, as it needs both ends of a range:" + where
                        + "\n  write uniform, or search at random");
            }
        }
        this.space = space;
        this.seed = seed;
        this.mode = mode;
    }

    @Override
    public int trials(int numSamples) {
        return new RandomSearcher(space, seed).trials(numSamples);
    }

    /// A trial of the history, with what gave it its values.
    private record Seen(Trial trial, Map<Parameter, Double> point) {}

    private record Split(List<Seen> good, List<Seen> others) {}

    @Override
    public Map<String, Object> suggest(int trial, List<Trial> history) {
        List<Seen> seen = history.stream()
                .filter(other -> other.number() != trial)
                .filter(other -> !other.state().ended() || ranks(other))
                .sorted(Comparator.comparingInt(Trial::number))
                .map(this::seen)
                .toList();
        List<Seen> ended = seen.stream().filter(s -> s.trial().state().ended()).toList();
        if (ended.size() < STARTUP_TRIALS) {
            return space.sample(seed, trial);
        }
        Split split = split(seen, ended.size());
        List<Parameter> together = space.parameters().stream()
                .filter(p -> p.domain().extremes().stream().distinct().count() > 1)
                .filter(p -> ended.stream().allMatch(s -> s.point().containsKey(p)))
                .toList();
        Map<Parameter, Object> chosen = new HashMap<>();
        if (!together.isEmpty()) {
            chosen.putAll(best(together, split, Draws.of(seed, trial, "tpe")));
        }
        return space.assign(parameter -> {
            if (chosen.containsKey(parameter)) {
                return chosen.get(parameter);
            }
            return parameter.domain().extremes().stream().distinct().count() == 1
                    ? parameter.domain().extremes().getFirst()
                    : best(List.of(parameter), split, Draws.of(seed, trial, "tpe " + parameter.key()))
                            .get(parameter);
        });
    }

    /// Whether an ended trial has something to rank it by.
    private static boolean ranks(Trial trial) {
        return trial.state() == TrialState.STOPPED
                || (trial.state() == TrialState.COMPLETED && trial.value().isPresent());
    }

    private Seen seen(Trial trial) {
        Map<String, Object> values = space.canonical(trial.values());
        Map<Parameter, Double> point = new HashMap<>();
        for (Parameter parameter : space.active(values)) {
            point.put(parameter, number(parameter.domain(), values.get(parameter.setting())));
        }
        return new Seen(trial, point);
    }

    private Split split(List<Seen> seen, int ended) {
        Comparator<Seen> order = Comparator.<Seen>comparingInt(s -> s.trial().state() == TrialState.COMPLETED ? 0 : 1)
                .thenComparingDouble(s -> s.trial().state() == TrialState.COMPLETED ? 0 : -age(s.trial()))
                .thenComparingDouble(s -> worth(s.trial()));
        int good = Math.min((int) Math.ceil(0.1 * ended), 25);
        List<Seen> ranked = seen.stream()
                .filter(s -> s.trial().state().ended())
                .sorted(order)
                .toList();
        List<Seen> best = new ArrayList<>(ranked.subList(0, good));
        best.sort(Comparator.comparingInt(s -> s.trial().number())); // by age, for the weights
        return new Split(best, seen.stream().filter(s -> !best.contains(s)).toList());
    }

    private static double age(Trial trial) {
        return trial.oldest().map(StudyEvent.Report::time).orElse(-1.0);
    }

    /// Lower is better; one stopped without a number is worst.
    private double worth(Trial trial) {
        double metric = trial.state() == TrialState.COMPLETED
                ? trial.value().orElseThrow()
                : trial.oldest().map(StudyEvent.Report::metric).orElse(Double.NaN);
        return Double.isNaN(metric) ? Double.POSITIVE_INFINITY : -mode.reward(metric);
    }

    private static Map<Parameter, Object> best(List<Parameter> parameters, Split split, Draws draws) {
        List<Domain> domains = parameters.stream().map(Parameter::domain).toList();
        Parzen good = new Parzen(domains, points(parameters, split.good()));
        Parzen others = new Parzen(domains, points(parameters, split.others()));
        double[] best = {};
        double most = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < CANDIDATES; i++) {
            double[] candidate = good.sample(draws);
            double gain = good.logDensity(candidate) - others.logDensity(candidate);
            if (best.length == 0 || gain > most) {
                best = candidate;
                most = gain;
            }
        }
        Map<Parameter, Object> values = new HashMap<>();
        for (int d = 0; d < domains.size(); d++) {
            values.put(parameters.get(d), value(domains.get(d), best[d]));
        }
        return values;
    }

    /// Of the trials that had all of these parameters.
    private static double[][] points(List<Parameter> parameters, List<Seen> trials) {
        return trials.stream()
                .filter(s -> s.point().keySet().containsAll(parameters))
                .map(s -> parameters.stream().mapToDouble(s.point()::get).toArray())
                .toArray(double[][]::new);
    }

    private static double number(Domain domain, Object value) {
        return switch (domain) {
            case Domain.Choice choice -> choice.values().indexOf(value);
            case Domain.Real _, Domain.Whole _ -> ((Number) value).doubleValue();
            case Domain.Constant _, Domain.Normal _ -> 0;
        };
    }

    private static Object value(Domain domain, double number) {
        return switch (domain) {
            case Domain.Choice choice -> choice.values().get((int) number);
            case Domain.Real _ -> (Object) number;
            case Domain.Whole _ -> (Object) (long) number;
            case Domain.Constant constant -> constant.value();
            case Domain.Normal _ -> throw new IllegalStateException();
        };
    }
}
