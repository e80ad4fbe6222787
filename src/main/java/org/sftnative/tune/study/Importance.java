package org.sftnative.tune.study;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// How much of the trials' differences a setting explains on its own: the part of the variance of the values' ranks
/// that lies between groups of trials, by its value where it has few, else by quarters; corrected for what as many
/// groups would explain by chance (Kelley's epsilon squared), so that a setting without effect is near 0. Ranks,
/// because
/// one run that diverged must not be all that counts. What settings do together only is not seen.
final class Importance {
    private static final int GROUPS = 4;
    /// Below it there is nothing to say.
    private static final int FEWEST = 6;

    private Importance() {}

    /// @param share from 0, no effect, to 1, all of it
    record Share(String setting, double share) {}

    static List<Share> of(StudyResults study) {
        List<TrialRow> rows =
                study.rows().stream().filter(row -> row.value().isPresent()).toList();
        if (rows.size() < FEWEST) {
            return List.of();
        }
        double[] ranks = ranks(
                rows.stream().mapToDouble(row -> row.value().orElseThrow()).toArray());
        List<Share> shares = new ArrayList<>();
        for (String name : study.names()) {
            shares.add(new Share(name, share(groups(rows, name), ranks)));
        }
        shares.sort(Comparator.comparingDouble(Share::share).reversed());
        return shares;
    }

    private static double share(List<Object> groups, double[] ranks) {
        Map<Object, double[]> sums = new LinkedHashMap<>(); // number, sum
        double mean = (ranks.length + 1) / 2.0;
        double total = 0;
        for (int i = 0; i < ranks.length; i++) {
            double[] sum = sums.computeIfAbsent(groups.get(i), _ -> new double[2]);
            sum[0]++;
            sum[1] += ranks[i] - mean;
            total += (ranks[i] - mean) * (ranks[i] - mean);
        }
        double between =
                sums.values().stream().mapToDouble(s -> s[1] * s[1] / s[0]).sum();
        int n = ranks.length;
        int k = sums.size();
        if (total == 0 || k < 2 || n <= k) {
            return 0;
        }
        return Math.clamp((between - (k - 1) * (total - between) / (n - k)) / total, 0, 1);
    }

    private static List<Object> groups(List<TrialRow> rows, String name) {
        List<Object> values = rows.stream()
                .map(row -> row.values().getOrDefault(name, "none"))
                .toList();
        boolean numbers = values.stream().allMatch(Number.class::isInstance);
        if (!numbers || values.stream().distinct().count() <= GROUPS) {
            return values;
        }
        double[] ranks = ranks(
                values.stream().mapToDouble(v -> ((Number) v).doubleValue()).toArray());
        List<Object> groups = new ArrayList<>();
        for (double rank : ranks) {
            groups.add((int) ((rank - 0.5) * GROUPS / ranks.length));
        }
        return groups;
    }

    /// From 1; equal values share the mean of their ranks.
    private static double[] ranks(double[] values) {
        double[] ranks = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            int below = 0;
            int equal = 0;
            for (double other : values) {
                below += other < values[i] ? 1 : 0;
                equal += other == values[i] ? 1 : 0;
            }
            ranks[i] = below + (equal + 1) / 2.0;
        }
        return ranks;
    }
}
