package org.sftnative.tune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// How much of the differences between trials each setting alone explains: the trials are ranked by their metric, put
/// into groups by the setting's value (its own values where it has few; else up to four groups of about equal size,
/// and one of the trials that did not have it), and the part of the ranks' variance that lies between groups is taken,
/// less what chance would give (epsilon squared, as of a Kruskal-Wallis test). From 0, nothing, to 1, everything.
///
/// This is not fANOVA: effects that only two settings together have are not seen, and trials that were stopped early
/// are judged by what they had then. Below ten trials it says nothing.
public final class Importance {
    private static final int FEWEST_TRIALS = 10;
    private static final int GROUPS = 4;

    private Importance() {}

    /// The varied settings, the most important first; empty if fewer than ten trials have a metric.
    public static Map<String, Double> of(List<Trial> trials) {
        List<Trial> judged =
                trials.stream().filter(trial -> trial.value().isPresent()).toList();
        if (judged.size() < FEWEST_TRIALS) {
            return Map.of();
        }
        double[] ranks = ranks(judged.stream()
                .mapToDouble(trial -> trial.value().orElseThrow())
                .toArray());
        Map<String, Double> found = new LinkedHashMap<>();
        judged.stream()
                .flatMap(trial -> trial.values().keySet().stream())
                .distinct()
                .forEach(setting -> {
                    List<String> groups = groups(judged, setting);
                    if (groups.stream().distinct().count() > 1) {
                        found.put(setting, explained(ranks, groups));
                    }
                });
        return found.entrySet().stream()
                .sorted(Map.Entry.<String, Double>comparingByValue().reversed())
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue, (a, b) -> a, LinkedHashMap::new));
    }

    /// From 1; equal values share the mean of theirs.
    private static double[] ranks(double[] values) {
        return Arrays.stream(values)
                .map(v -> Arrays.stream(values)
                                .map(w -> w < v ? 1 : w == v ? 0.5 : 0)
                                .sum()
                        + 0.5)
                .toArray();
    }

    private static List<String> groups(List<Trial> trials, String setting) {
        List<Object> values = trials.stream()
                .map(trial -> trial.values().get(setting))
                .filter(value -> value != null)
                .toList();
        boolean few = values.stream().distinct().count() <= GROUPS || !(values.getFirst() instanceof Number);
        double[] sorted = few
                ? new double[0]
                : values.stream()
                        .mapToDouble(v -> ((Number) v).doubleValue())
                        .sorted()
                        .toArray();
        List<String> groups = new ArrayList<>();
        for (Trial trial : trials) {
            Object value = trial.values().get(setting);
            if (value == null) {
                groups.add("");
            } else if (few) {
                groups.add(value.toString());
            } else {
                double number = ((Number) value).doubleValue();
                groups.add(""
                        + IntStream.range(1, GROUPS)
                                .filter(g -> number >= sorted[g * sorted.length / GROUPS])
                                .count());
            }
        }
        return groups;
    }

    private static double explained(double[] ranks, List<String> groups) {
        int n = ranks.length;
        double mean = Percentile.mean(ranks);
        double total = Arrays.stream(ranks).map(r -> (r - mean) * (r - mean)).sum();
        if (total == 0) {
            return 0;
        }
        Map<String, List<Integer>> members = IntStream.range(0, n).boxed().collect(Collectors.groupingBy(groups::get));
        double within = members.values().stream()
                .mapToDouble(of -> {
                    double own =
                            of.stream().mapToDouble(i -> ranks[i]).average().orElseThrow();
                    return of.stream()
                            .mapToDouble(i -> (ranks[i] - own) * (ranks[i] - own))
                            .sum();
                })
                .sum();
        int k = members.size();
        return n == k ? 0 : Math.max(0, 1 - within / (n - k) / (total / (n - 1)));
    }
}
