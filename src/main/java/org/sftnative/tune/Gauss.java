package org.sftnative.tune;

/// Logarithms of the standard normal distribution, exact to about 1e-14 even where the probabilities underflow.
final class Gauss {
    private static final double LOG_SQRT_2PI = 0.5 * StrictMath.log(2 * Math.PI);
    private static final double SQRT_PI = StrictMath.sqrt(Math.PI);
    private static final int TERMS = 100;

    private Gauss() {}

    static double logDensity(double x) {
        return -x * x / 2 - LOG_SQRT_2PI;
    }

    /// P(X < x).
    static double below(double x) {
        return x < 0 ? StrictMath.exp(logBelow(x)) : 1 - StrictMath.exp(logBelow(-x));
    }

    /// log P(X < x).
    static double logBelow(double x) {
        if (x == Double.NEGATIVE_INFINITY) {
            return x;
        }
        if (x > 0) {
            return StrictMath.log1p(-StrictMath.exp(logBelow(-x)));
        }
        double z = -x / StrictMath.sqrt(2);
        if (z < 2) {
            // erf(z) = 2/sqrt(pi) exp(-z^2) sum 2^n z^(2n+1) / (2n+1)!!, all terms of one sign
            double term = z;
            double sum = z;
            for (int n = 1; n <= TERMS && term > 1e-18 * sum; n++) {
                term *= 2 * z * z / (2 * n + 1);
                sum += term;
            }
            return StrictMath.log(0.5 - StrictMath.exp(-z * z) * sum / SQRT_PI);
        }
        // erfc(z) = exp(-z^2)/sqrt(pi) / (z + (1/2)/(z + 1/(z + (3/2)/(z + ...)))); Abramowitz and Stegun 7.1.14
        double fraction = z;
        for (int k = 10 + (int) (300 / (z * z)); k >= 1; k--) { // enough for 1e-15 at every z from 2 on
            fraction = z + k / 2.0 / fraction;
        }
        return -z * z - StrictMath.log(2 * SQRT_PI * fraction);
    }

    /// log P(a < X < b), a < b.
    static double logBetween(double a, double b) {
        if (a > 0) {
            return logBetween(-b, -a); // the left tail keeps its digits
        }
        if (b <= 0) {
            double upper = logBelow(b);
            return upper + StrictMath.log1p(-StrictMath.exp(logBelow(a) - upper));
        }
        return StrictMath.log1p(-below(a) - below(-b));
    }

    /// The x between a and b below which a part `q` of the probability between them lies.
    static double quantile(double q, double a, double b) {
        if (a > 0) {
            return -quantile(1 - q, -b, -a);
        }
        double target = logSum(logBelow(a), StrictMath.log(q) + logBetween(a, b));
        double from = a;
        double to = b;
        double x = 0.5 * (from + to);
        for (int i = 0; i < 100; i++) {
            double log = logBelow(x);
            if (log < target) {
                from = x;
            } else {
                to = x;
            }
            // Newton's step; the middle where it would leave what is left
            double next = x - (log - target) * StrictMath.exp(log - logDensity(x));
            next = next > from && next < to ? next : 0.5 * (from + to);
            if (Math.abs(next - x) <= 1e-13 * Math.max(1, Math.abs(x))) {
                break;
            }
            x = next;
        }
        return x;
    }

    static double logSum(double p, double q) {
        double most = Math.max(p, q);
        return most == Double.NEGATIVE_INFINITY ? most : most + StrictMath.log1p(StrictMath.exp(Math.min(p, q) - most));
    }
}
