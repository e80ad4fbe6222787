package org.sftnative.generate;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/// How the next token is chosen.
///
/// @param temperature 0: the likeliest token (the first of equals); above: logits are divided by it
/// @param topP tokens are drawn from the likeliest ones that together reach this probability; 1: from all
/// @param seed of the draws: token k of a text depends on (seed, k) and its logits alone
public record Sampling(double temperature, double topP, long seed) {
    /// The likeliest token each time.
    public static final Sampling GREEDY = new Sampling(0, 1, 0);

    public Sampling {
        if (!(temperature >= 0) || !(topP > 0) || topP > 1) {
            throw new IllegalArgumentException("temperature " + temperature + ", top-p " + topP);
        }
    }

    /// Chooses a token.
    ///
    /// @param logits (V)
    /// @param position how many tokens were drawn before
    public int choose(float[] logits, int position) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        if (temperature == 0) {
            return best;
        }
        double[] weights = new double[logits.length];
        double total = 0;
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Math.exp((logits[i] - logits[best]) / temperature);
            total += weights[i];
        }
        double draw = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + position).nextDouble();
        return topP < 1 ? drawFromTop(weights, total, draw) : draw(weights, identity(weights.length), total, draw);
    }

    private int drawFromTop(double[] weights, double total, double draw) {
        int[] byWeight = IntStream.range(0, weights.length)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer i) -> -weights[i]))
                .mapToInt(Integer::intValue)
                .toArray();
        double kept = 0;
        int n = 0;
        while (n < byWeight.length && kept < topP * total) {
            kept += weights[byWeight[n++]];
        }
        return draw(weights, Arrays.copyOf(byWeight, n), kept, draw);
    }

    private static int draw(double[] weights, int[] tokens, double total, double draw) {
        double left = draw * total;
        for (int token : tokens) {
            left -= weights[token];
            if (left < 0) {
                return token;
            }
        }
        return tokens[tokens.length - 1]; // rounding: the draw fell on the very end
    }

    private static int[] identity(int n) {
        return IntStream.range(0, n).toArray();
    }
}
