package org.sftnative.benchmarks.guard;

import java.util.List;

/// What two rows of fork means say. The forks ran in the order base, candidate, candidate, base, .. so that a machine
/// that warms up or slows down touches both alike: fork i of one is paired with fork i of the other.
///
/// With d the logarithms of the pairs' ratios, the mean of d has Student's t interval at 99%. REGRESSED and IMPROVED
/// need the whole interval on one side of 1 and a change of at least [#SMALLEST]; an interval wider than
/// [#WIDEST] to either side proves nothing and is INVALID, as are fewer than [#FEWEST] pairs.
///
/// @param kind the verdict
/// @param ratio candidate's seconds over base's, geometric mean over pairs; NaN if there is none
/// @param low lower end of the interval
/// @param high upper end
/// @param reason of INVALID, in words; else empty
public record Verdict(Kind kind, double ratio, double low, double high, String reason) {
    /// Smallest change that is called one.
    public static final double SMALLEST = 0.015;
    /// Half the width of an interval (in logarithms) beyond which forks differ too much to tell.
    public static final double WIDEST = 0.10;
    /// Fewest pairs of forks.
    public static final int FEWEST = 4;
    /// Quantiles 0.995 of Student's t with 3, 4, .. 15 degrees of freedom.
    private static final double[] T = {
        5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947
    };

    /// In the order of what must be looked at first.
    public enum Kind {
        REGRESSED,
        INVALID,
        IMPROVED,
        NO_CLEAR_CHANGE
    }

    /// Judges pairs of fork means, in seconds.
    public static Verdict of(List<Double> base, List<Double> candidate) {
        if (base.size() != candidate.size()) {
            return invalid(base.size() + " forks of the base, " + candidate.size() + " of the candidate");
        }
        int n = base.size();
        if (n < FEWEST) {
            return invalid(n + " pairs of forks, at least " + FEWEST + " are needed");
        }
        double mean = 0;
        for (int i = 0; i < n; i++) {
            mean += Math.log(candidate.get(i) / base.get(i)) / n;
        }
        double squares = 0;
        for (int i = 0; i < n; i++) {
            double d = Math.log(candidate.get(i) / base.get(i)) - mean;
            squares += d * d;
        }
        double half = T[Math.min(n - 1 - 3, T.length - 1)] * Math.sqrt(squares / (n - 1) / n);
        double low = Math.exp(mean - half);
        double high = Math.exp(mean + half);
        double ratio = Math.exp(mean);
        if (half > WIDEST && (low < 1 && high > 1)) {
            return new Verdict(
                    Kind.INVALID, ratio, low, high, "forks differ too much to tell: the machine was not quiet");
        }
        if (low > 1 && ratio > 1 + SMALLEST) {
            return new Verdict(Kind.REGRESSED, ratio, low, high, "");
        }
        if (high < 1 && ratio < 1 / (1 + SMALLEST)) {
            return new Verdict(Kind.IMPROVED, ratio, low, high, "");
        }
        return new Verdict(Kind.NO_CLEAR_CHANGE, ratio, low, high, "");
    }

    static Verdict invalid(String reason) {
        return new Verdict(Kind.INVALID, Double.NaN, Double.NaN, Double.NaN, reason);
    }
}
