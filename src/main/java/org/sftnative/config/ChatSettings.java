package org.sftnative.config;

import java.util.Optional;

/// What `chat` is told.
public record ChatSettings(
        ModelSettings model,

        @Setting(doc = "what the conversation begins with, as the system's turn")
        Optional<String> system,

        @Setting(doc = "a built-in chat template, or a Jinja file; default: the model's own")
        Optional<String> chatTemplate,

        @Setting(doc = "stop an answer after this many tokens", value = "1024")
        int maxNewTokens,

        @Setting(doc = "0: the likeliest token each time; above: sample, higher is wilder", value = "0")
        double temperature,

        @Setting(doc = "sample from this many of the likeliest tokens; 0: from all", value = "0")
        int topK,

        @Setting(doc = "sample from the likeliest tokens that make up this probability", value = "1.0")
        double topP,

        @Setting(doc = "above 1: tokens that the text has already become less likely", value = "1.0")
        double repetitionPenalty,

        @Setting(doc = "seed of sampling; the n-th answer has seed + n - 1", value = "42")
        long seed) {
    public ChatSettings {
        Check.that(maxNewTokens >= 1, "max_new_tokens", maxNewTokens, "1 or more");
        Check.that(temperature >= 0 && Double.isFinite(temperature), "temperature", temperature, "0 or more");
        Check.that(topK >= 0, "top_k", topK, "0 or more");
        Check.that(topP > 0 && topP <= 1, "top_p", topP, "above 0, at most 1");
        Check.that(
                repetitionPenalty > 0 && Double.isFinite(repetitionPenalty),
                "repetition_penalty",
                repetitionPenalty,
                "above 0");
    }
}
