package org.sftnative.config;

import java.util.List;

/// How an answer is written. The names are those of transformers' GenerationConfig.
public record SamplingSettings(
        @Setting(doc = "stop after this many new tokens", value = "256")
        int maxNewTokens,

        @Setting(doc = "no end before this many new tokens", value = "0")
        int minNewTokens,

        @Setting(doc = "0: the likeliest token each time; above: sample, higher is wilder", value = "0")
        double temperature,

        @Setting(doc = "sample from this many of the likeliest tokens; 0: from all", value = "0")
        int topK,

        @Setting(doc = "sample from the likeliest tokens that make up this probability", value = "1.0")
        double topP,

        @Setting(doc = "above 1: tokens that the text has already become less likely", value = "1.0")
        double repetitionPenalty,

        @Setting(doc = "texts that end an answer, and are no part of it")
        List<String> stop,

        @Setting(doc = "seed of sampling; row n of a file has seed + n, as has answer n of several", value = "42")
        long seed) {
    public SamplingSettings {
        stop = List.copyOf(stop);
        Check.that(maxNewTokens >= 1, "max_new_tokens", maxNewTokens, "1 or more");
        Check.that(
                minNewTokens >= 0 && minNewTokens <= maxNewTokens,
                "min_new_tokens",
                minNewTokens,
                "from 0 to max_new_tokens, " + maxNewTokens);
        Check.that(temperature >= 0 && Double.isFinite(temperature), "temperature", temperature, "0 or more");
        Check.that(topK >= 0, "top_k", topK, "0 or more");
        Check.that(topP > 0 && topP <= 1, "top_p", topP, "above 0, at most 1");
        Check.that(
                repetitionPenalty > 0 && Double.isFinite(repetitionPenalty),
                "repetition_penalty",
                repetitionPenalty,
                "above 0");
        Check.that(stop.stream().noneMatch(String::isEmpty), "stop", stop, "texts that are not empty");
    }
}
