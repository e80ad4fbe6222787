package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;

/// What `eval` is told. A setting that `train` has too means the same here, with the same default.
public record EvalSettings(
        ModelSettings model,

        @Setting(doc = "rows to score: files, directories or globs", required = true)
        List<Path> evalFile,

        RowSettings rows,

        EncodingSettings encoding,

        @Setting(doc = "tokens of a micro-batch, never splitting a row; 0: 4096", value = "0")
        int microBatchTokens) {
    public EvalSettings {
        evalFile = List.copyOf(evalFile);
        Check.that(microBatchTokens >= 0, "micro_batch_tokens", microBatchTokens, "0 or more");
    }
}
