package org.sftnative.generate;

import java.util.List;
import java.util.Set;

/// One text to go on with. What comes of it depends on these alone, and not on the texts beside it.
///
/// @param prompt (n) token ids, n at least 1
/// @param minNewTokens no stop token is chosen before there are as many
/// @param maxNewTokens it ends there at last, or at the end of the model's positions
/// @param stopTokens any of them ends it; it is one of the answer's tokens
/// @param stopTexts any of them ends it; it is no part of the answer's text
/// @param seed of the draws, if any
public record Request(
        int[] prompt,
        Sampling sampling,
        int minNewTokens,
        int maxNewTokens,
        Set<Integer> stopTokens,
        List<String> stopTexts,
        long seed) {
    public Request {
        stopTokens = Set.copyOf(stopTokens);
        stopTexts = List.copyOf(stopTexts);
        if (minNewTokens < 0 || maxNewTokens < 1 || stopTexts.contains("")) {
            throw new IllegalArgumentException(
                    "min " + minNewTokens + ", max " + maxNewTokens + " new tokens, stops " + stopTexts);
        }
    }

    /// The likeliest tokens up to a stop token.
    public static Request greedy(int[] prompt, int maxNewTokens, Set<Integer> stopTokens) {
        return new Request(prompt, Sampling.GREEDY, 0, maxNewTokens, stopTokens, List.of(), 0);
    }
}
