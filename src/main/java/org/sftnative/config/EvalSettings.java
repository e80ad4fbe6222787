package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// What `eval` is told. A setting that `train` has too means the same here, with the same default.
public record EvalSettings(
        ModelSettings model,

        @Setting(doc = "rows to score: files, directories or globs, each a data set of the report", required = true)
        List<Path> evalFile,

        @Setting(
                doc =
                        "two models, BASE TUNED (which may be an adapter of BASE): what was learnt, what forgotten, row by row;"
                                + " no --model then")
        List<Path> compare,

        @Setting(doc = "let the model answer the rows, and score the answers against theirs", value = "false")
        boolean generate,

        @Setting(doc = "JSON of all numbers, and of all rows with --compare or --generate")
        Optional<Path> outputFile,

        @Setting(
                doc =
                        "finds the result in an answer, the last that it matches; default: the number after ####, or the last one")
        Optional<String> answerRegex,

        @Setting(doc = "sacrebleu's tokenizer for BLEU: 13a, or zh for Chinese", value = "13a")
        String bleuTokenize,

        RowSettings rows,

        EncodingSettings encoding,

        @Setting(doc = "tokens of a micro-batch, never splitting a row; 0: 4096", value = "0")
        int microBatchTokens,

        SamplingSettings sampling,
        BatchSettings batch) {
    /// The same of one model, compared with none.
    public EvalSettings of(Path directory) {
        return with(new ModelSettings(directory, model.device(), model.precision(), model.threads()));
    }

    /// The same for an adapter over a model.
    public EvalSettings of(Path directory, Path adapter) {
        return with(new ModelSettings(
                directory,
                model.device(),
                model.precision(),
                model.threads(),
                List.of(adapter),
                model.loadIn_4bit(),
                model.loadIn_8bit(),
                model.bnb_4bitUseDoubleQuant()));
    }

    private EvalSettings with(ModelSettings other) {
        return new EvalSettings(
                other,
                evalFile,
                List.of(),
                generate,
                outputFile,
                answerRegex,
                bleuTokenize,
                rows,
                encoding,
                microBatchTokens,
                sampling,
                batch);
    }

    public EvalSettings {
        evalFile = List.copyOf(evalFile);
        compare = List.copyOf(compare);
        Check.that(bleuTokenize.matches("13a|zh"), "bleu_tokenize", "'" + bleuTokenize + "'", "13a or zh");
        Check.that(compare.isEmpty() || compare.size() == 2, "compare", compare, "two models: BASE TUNED");
        Check.that(microBatchTokens >= 0, "micro_batch_tokens", microBatchTokens, "0 or more");
    }
}
