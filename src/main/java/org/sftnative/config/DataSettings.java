package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.sftnative.InputException;

/// Which rows are trained, in which order.
public record DataSettings(
        @Setting(doc = "rows to train on: files, directories or globs", required = true)
        List<Path> trainFile,

        @Setting(doc = "rows to evaluate on") Optional<Path> evalFile,

        @Setting(doc = "part of the training rows kept for evaluation, by content hash", value = "0")
        double evalFraction,

        @Setting(doc = "other rows and their share of what is trained: FILE=0.15")
        List<String> mix,

        @Setting(doc = "order of several training files", value = "concatenate")
        CombineChoice combine,

        @Setting(doc = "train equal rows once", value = "false")
        boolean dedup,

        @Setting(doc = "a new order each epoch, from the seed", value = "true")
        boolean shuffle,

        @Setting(doc = "how rows share a step", value = "none")
        PackingChoice packing,

        @Setting(doc = "tokens of an optimizer step, instead of rows; 0: rows", value = "0")
        int tokensPerStep) {
    public DataSettings {
        trainFile = List.copyOf(trainFile);
        mix = List.copyOf(mix);
        if (evalFile.isPresent() && evalFraction > 0) {
            throw new InputException("eval_file and eval_fraction are both given\n  keep the one that you mean");
        }
        Check.that(evalFraction >= 0 && evalFraction < 1, "eval_fraction", evalFraction, "from 0 to below 1");
        Check.that(tokensPerStep >= 0, "tokens_per_step", tokensPerStep, "0 or more");
    }

    /// The defaults over files.
    public static DataSettings of(Path... files) {
        return new DataSettings(
                List.of(files),
                Optional.empty(),
                0,
                List.of(),
                CombineChoice.CONCATENATE,
                false,
                true,
                PackingChoice.NONE,
                0);
    }

    /// The same with rows to evaluate on.
    public DataSettings withEval(Path file) {
        return new DataSettings(trainFile, Optional.of(file), 0, mix, combine, dedup, shuffle, packing, tokensPerStep);
    }

    /// The same with a part kept for evaluation.
    public DataSettings withEvalFraction(double fraction) {
        return new DataSettings(trainFile, evalFile, fraction, mix, combine, dedup, shuffle, packing, tokensPerStep);
    }

    /// The same in the order of the files.
    public DataSettings unshuffled() {
        return new DataSettings(trainFile, evalFile, evalFraction, mix, combine, dedup, false, packing, tokensPerStep);
    }
}
