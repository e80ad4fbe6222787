package org.sftnative.tune;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/// A density over several domains at once: a mixture with one kernel for each observation, and one, the prior, for the
/// whole space. A kernel is a product: of normals cut to the domain's range (in the logarithm where the domain is
/// logarithmic, as masses of intervals where it has steps), and of weights of a choice's values. Widths and weights are
/// those of Optuna's TPESampler with its defaults (prior weight 1, magic clip, endpoints not considered).
///
/// A point is one number a domain: its value, or for a choice the index of its value.
final class Parzen {
    private final List<Domain> domains;
    private final double[] weights; // K kernels
    private final double[][] centres; // (D, K); for a choice the index, the prior's is -1
    private final double[][] widths; // (D, K)
    private final Range[] ranges; // (D), of choices none
    private final double[][] logInside; // (D, K), log of a normal's part that lies in the range

    /// @param points (N, D), oldest first: the newest 25 count whole, older ones less
    Parzen(List<Domain> domains, double[][] points) {
        this.domains = domains;
        int n = points.length;
        weights = weights(n);
        centres = new double[domains.size()][];
        widths = new double[domains.size()][];
        ranges = new Range[domains.size()];
        logInside = new double[domains.size()][n + 1];
        for (int d = 0; d < domains.size(); d++) {
            int column = d;
            double[] values = Arrays.stream(points).mapToDouble(p -> p[column]).toArray();
            if (domains.get(d) instanceof Domain.Choice) {
                centres[d] = append(values, -1);
                widths[d] = new double[n + 1];
            } else {
                Range range = Range.of(domains.get(d));
                double[] means = Arrays.stream(values).map(range::inside).toArray();
                centres[d] = append(means, 0.5 * (range.from + range.to));
                widths[d] = append(widths(means, range), range.to - range.from);
                ranges[d] = range;
                for (int k = 0; k <= n; k++) {
                    logInside[d][k] = Gauss.logBetween(
                            (range.from - centres[d][k]) / widths[d][k], (range.to - centres[d][k]) / widths[d][k]);
                }
            }
        }
    }

    /// A range as a kernel sees it: half a step beyond both ends, in the logarithm if it is logarithmic.
    private record Range(double low, double high, boolean log, double step, double from, double to) {
        static Range of(Domain domain) {
            return switch (domain) {
                case Domain.Real r -> of(r.low(), r.high(), r.log(), r.step());
                case Domain.Whole w -> of(w.low(), w.high(), w.log(), w.step());
                case Domain.Constant _, Domain.Choice _, Domain.Normal _ ->
                    throw new IllegalArgumentException("not a range: " + domain);
            };
        }

        private static Range of(double low, double high, boolean log, double step) {
            double from = low - step / 2;
            double to = high + step / 2;
            return new Range(low, high, log, step, log ? StrictMath.log(from) : from, log ? StrictMath.log(to) : to);
        }

        double inside(double value) {
            return log ? StrictMath.log(value) : value;
        }

        double outside(double value) {
            return log ? StrictMath.exp(value) : value;
        }
    }

    /// A point of the mixture.
    double[] sample(Draws draws) {
        int kernel = draws.weighted(weights);
        double[] point = new double[domains.size()];
        for (int d = 0; d < point.length; d++) {
            if (domains.get(d) instanceof Domain.Choice choice) {
                point[d] = draws.weighted(choiceWeights(choice.values().size(), centres[d][kernel]));
                continue;
            }
            Range range = ranges[d];
            double centre = centres[d][kernel];
            double width = widths[d][kernel];
            double z = Gauss.quantile(draws.uniform(), (range.from - centre) / width, (range.to - centre) / width);
            double value = range.outside(centre + z * width);
            point[d] = switch (domains.get(d)) {
                case Domain.Real real -> real.fit(value);
                case Domain.Whole whole -> whole.fit(value);
                case Domain.Constant _, Domain.Choice _, Domain.Normal _ -> throw new IllegalStateException();
            };
        }
        return point;
    }

    double logDensity(double[] point) {
        double sum = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < weights.length; k++) {
            double log = StrictMath.log(weights[k]);
            for (int d = 0; d < point.length; d++) {
                log += logKernel(d, k, point[d]);
            }
            sum = Gauss.logSum(sum, log);
        }
        return sum;
    }

    private double logKernel(int d, int k, double x) {
        double centre = centres[d][k];
        if (domains.get(d) instanceof Domain.Choice choice) {
            double[] chances = choiceWeights(choice.values().size(), centre);
            return StrictMath.log(chances[(int) x] / Arrays.stream(chances).sum());
        }
        Range range = ranges[d];
        double width = widths[d][k];
        if (range.step > 0) {
            double left = range.inside(x - range.step / 2);
            double right = range.inside(x + range.step / 2);
            return Gauss.logBetween((left - centre) / width, (right - centre) / width) - logInside[d][k];
        }
        return Gauss.logDensity((range.inside(x) - centre) / width) - StrictMath.log(width) - logInside[d][k];
    }

    /// A value's weight in a kernel: the prior's share, and 1 for the kernel's own.
    private double[] choiceWeights(int values, double own) {
        double[] chances = new double[values];
        Arrays.fill(chances, 1.0 / weights.length);
        if (own >= 0) {
            chances[(int) own] += 1;
        }
        return chances;
    }

    /// Of n observations and the prior, which is last; their sum is 1.
    private static double[] weights(int n) {
        double[] w = new double[n + 1];
        Arrays.fill(w, 1);
        int ramp = n - 25;
        for (int i = 0; i < ramp; i++) {
            w[i] = ramp == 1 ? 1.0 / n : 1.0 / n + i * (1 - 1.0 / n) / (ramp - 1);
        }
        double sum = Arrays.stream(w).sum();
        return Arrays.stream(w).map(x -> x / sum).toArray();
    }

    /// Each kernel is as wide as the larger gap to its neighbours; the outermost as the gap to their one neighbour.
    private static double[] widths(double[] means, Range range) {
        int n = means.length;
        Integer[] order = IntStream.range(0, n)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> means[i]))
                .toArray(Integer[]::new);
        double most = range.to - range.from;
        double least = most / Math.min(100, n + 2.0);
        double[] widths = new double[n];
        for (int rank = 0; rank < n; rank++) {
            double below = rank == 0 ? range.from : means[order[rank - 1]];
            double above = rank == n - 1 ? range.to : means[order[rank + 1]];
            double mean = means[order[rank]];
            double width = Math.max(mean - below, above - mean);
            if (n >= 2 && rank == 0) {
                width = above - mean;
            } else if (n >= 2 && rank == n - 1) {
                width = mean - below;
            }
            widths[order[rank]] = Math.min(Math.max(width, least), most);
        }
        return widths;
    }

    private static double[] append(double[] values, double last) {
        double[] all = Arrays.copyOf(values, values.length + 1);
        all[values.length] = last;
        return all;
    }
}
