package org.sftnative.tune;

import java.nio.charset.StandardCharsets;

/// Random numbers as a function of (study seed, trial, purpose): SplitMix64 from a start that hashes the three. The
/// same on every machine and JDK, so nothing here or in what draws from it may use `Math`'s intrinsics.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
final class Draws {
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;

    private long state;

    private Draws(long state) {
        this.state = state;
    }

    static Draws of(long seed, long trial, String purpose) {
        long hash = mix(mix(seed + GOLDEN) ^ (trial + 1) * GOLDEN);
        for (byte b : purpose.getBytes(StandardCharsets.UTF_8)) {
            hash = mix(hash ^ b) + GOLDEN;
        }
        return new Draws(hash);
    }

    /// From 0 to below 1, 53 bits.
    double uniform() {
        state += GOLDEN;
        return (mix(state) >>> 11) * 0x1p-53;
    }

    /// From 0 to below `n`.
    int below(int n) {
        return (int) (uniform() * n);
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    double normal() {
        double radius = StrictMath.sqrt(-2 * StrictMath.log(1 - uniform()));
        return radius * StrictMath.cos(2 * Math.PI * uniform());
    }

    /// The index of one of `weights`, each as likely as its part of their sum.
    int weighted(double[] weights) {
        double sum = 0;
        for (double weight : weights) {
            sum += weight;
        }
        double left = uniform() * sum;
        for (int i = 0; i < weights.length; i++) {
            left -= weights[i];
            if (left < 0) {
                return i;
            }
        }
        int last = weights.length - 1; // the sum was rounded up
        while (weights[last] == 0) {
            last--;
        }
        return last;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }
}
