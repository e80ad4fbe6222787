package org.sftnative.generate;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/// How the next token is chosen: the processors of transformers' `generate`, with its formulas and in its order:
/// repetition penalty, temperature, top-k, top-p.
///
/// @param temperature 0: the likeliest token (the first of equals); above: logits are divided by it
/// @param topK tokens are drawn from the k likeliest, and those as likely as the last of them; 0: from all
/// @param topP tokens are drawn from the likeliest ones that together reach this probability; 1: from all
/// @param repetitionPenalty logits of tokens that the text has, prompt included, are divided by it if positive, else
///     multiplied; 1: none
public record Sampling(double temperature, int topK, double topP, double repetitionPenalty) {
    /// The likeliest token each time.
    public static final Sampling GREEDY = new Sampling(0, 0, 1, 1);

    public Sampling {
        if (!(temperature >= 0) || topK < 0 || !(topP > 0) || topP > 1 || !(repetitionPenalty > 0)) {
            throw new IllegalArgumentException("temperature " + temperature + ", top-k " + topK + ", top-p " + topP
                    + ", repetition penalty " + repetitionPenalty);
        }
    }

    /// Chooses a token.
    ///
    /// @param logits (V); changed
    /// @param text tokens of the text so far, for the repetition penalty
    /// @param seed of the draws of this text
    /// @param position how many tokens were drawn before: the draw depends on (seed, position) and the logits alone
    public int choose(float[] logits, IntStream text, long seed, int position) {
        if (repetitionPenalty != 1) {
            penalise(logits, text);
        }
        int best = best(logits);
        if (!Float.isFinite(logits[best])) {
            throw new IllegalStateException("the model's logits are not finite");
        }
        if (temperature == 0) {
            return best;
        }
        double draw = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + position).nextDouble();
        return draw(weights(logits, best), draw);
    }

    private void penalise(float[] logits, IntStream text) {
        float penalty = (float) repetitionPenalty;
        text.distinct().forEach(id -> logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty);
    }

    private static int best(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        return best;
    }

    /// What is left to draw from, by token; 0 for what is not. `logits` are changed.
    double[] weights(float[] logits, IntStream text) {
        penalise(logits, text);
        return weights(logits, best(logits));
    }

    /// What is left to draw from: exp(logit / temperature) against the best, 0 for what top-k and top-p leave out.
    private double[] weights(float[] logits, int best) {
        float[] scores = new float[logits.length];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = (float) ((logits[i] - logits[best]) / temperature);
        }
        float least = topK > 0 && topK < scores.length ? kthLargest(scores, topK) : Float.NEGATIVE_INFINITY;
        double[] weights = new double[scores.length];
        double total = 0;
        for (int i = 0; i < weights.length; i++) {
            weights[i] = scores[i] < least ? 0 : Math.exp(scores[i]);
            total += weights[i];
        }
        if (topP < 1) {
            keepTop(weights, total);
        }
        return weights;
    }

    private static float kthLargest(float[] scores, int k) {
        float[] sorted = scores.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length - k];
    }

    /// Zeroes the unlikeliest that together have at most 1 - topP; of equals, those that come first.
    private void keepTop(double[] weights, double total) {
        double spare = (1 - topP) * total;
        double surely = spare / weights.length; // all that are below it have less than `spare` together
        double gone = 0;
        int[] candidates = new int[weights.length];
        int n = 0;
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] < surely) {
                gone += weights[i];
                weights[i] = 0;
            } else {
                candidates[n++] = i;
            }
        }
        for (int i : ascending(weights, Arrays.copyOf(candidates, n))) {
            gone += weights[i];
            if (gone > spare) {
                return;
            }
            weights[i] = 0;
        }
    }

    private static int[] ascending(double[] weights, int[] tokens) {
        long[] keys = new long[tokens.length]; // a positive float's bits are in its order; the token breaks ties
        for (int i = 0; i < keys.length; i++) {
            keys[i] = (long) Float.floatToRawIntBits((float) weights[tokens[i]]) << 32 | tokens[i];
        }
        Arrays.sort(keys);
        return Arrays.stream(keys).mapToInt(key -> (int) key).toArray();
    }

    private static int draw(double[] weights, double draw) {
        double left = draw * Arrays.stream(weights).sum();
        int last = 0;
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] > 0) {
                left -= weights[i];
                last = i;
                if (left < 0) {
                    return i;
                }
            }
        }
        return last; // rounding: the draw fell on the very end
    }
}
