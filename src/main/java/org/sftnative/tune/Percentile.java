package org.sftnative.tune;

import java.util.Arrays;

/// The few sums of numpy that schedulers decide by, in numpy's order of operations, so that a tie here is a tie there.
final class Percentile {
    private Percentile() {}

    /// numpy's `nanpercentile(values, percent)`, linear between neighbours; NaN if no value is a number.
    static double ofNumbers(double[] values, double percent) {
        double[] sorted =
                Arrays.stream(values).filter(v -> !Double.isNaN(v)).sorted().toArray();
        if (sorted.length == 0) {
            return Double.NaN;
        }
        double index = (sorted.length - 1) * (percent / 100);
        int last = sorted.length - 1;
        int below = index >= last ? last : (int) Math.floor(index);
        double a = sorted[below];
        double b = sorted[Math.min(below + 1, last)];
        double part = index - below;
        // infinities of one sign give NaN here, as they do there
        double difference = b - a;
        return part >= 0.5 ? b - difference * (1 - part) : a + difference * part;
    }

    /// numpy's `median`: NaN if any value is.
    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted); // NaN last
        int n = sorted.length;
        if (n == 0 || Double.isNaN(sorted[n - 1])) {
            return Double.NaN;
        }
        return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    }

    /// numpy's `mean`; NaN of nothing.
    static double mean(double[] values) {
        return values.length == 0 ? Double.NaN : sum(values, 0, values.length) / values.length;
    }

    /// numpy adds pairwise: blocks of 128 in eight strands, halves above that.
    private static double sum(double[] x, int from, int n) {
        if (n < 8) {
            double sum = -0.0;
            for (int i = from; i < from + n; i++) {
                sum += x[i];
            }
            return sum;
        }
        if (n > 128) {
            int half = n / 2 - n / 2 % 8;
            return sum(x, from, half) + sum(x, from + half, n - half);
        }
        double[] strand = Arrays.copyOfRange(x, from, from + 8);
        int i = 8;
        for (; i < n - n % 8; i += 8) {
            for (int k = 0; k < 8; k++) {
                strand[k] += x[from + i + k];
            }
        }
        double sum = ((strand[0] + strand[1]) + (strand[2] + strand[3]))
                + ((strand[4] + strand[5]) + (strand[6] + strand[7]));
        for (; i < n; i++) {
            sum += x[from + i];
        }
        return sum;
    }
}
