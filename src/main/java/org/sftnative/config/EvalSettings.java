package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;

/// What `eval` is told. A setting that `train` has too means the same here, with the same default.
public record EvalSettings(
        ModelSettings model,

        @Setting(doc = "rows to score: a JSON array or JSON Lines", required = true)
        List<Path> evalFile,

        @Setting(doc = "longest row in tokens; what is beyond is cut off", value = "512", aliases = "max_seq_length")
        int maxLength,

        @Setting(doc = "score the prompt too, the whole text encoded at once", value = "false")
        boolean trainOnPrompt,

        @Setting(doc = "append the end-of-sequence token to each response, and score it", value = "true")
        boolean appendEos,

        @Setting(doc = "tokens of a micro-batch, never splitting a row; 0: 4096", value = "0")
        int microBatchTokens) {
    public EvalSettings {
        evalFile = List.copyOf(evalFile);
        Check.that(maxLength >= 2, "max_length", maxLength, "2 or more");
        Check.that(microBatchTokens >= 0, "micro_batch_tokens", microBatchTokens, "0 or more");
    }
}
