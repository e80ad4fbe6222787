package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.sftnative.InputException;

/// Which rows, and what of them is trained.
public record DataSettings(
        @Setting(doc = "rows to train on: a JSON array or JSON Lines", required = true)
        List<Path> trainFile,

        @Setting(doc = "rows to evaluate on") Optional<Path> evalFile,

        @Setting(doc = "part of the training rows kept for evaluation, by content hash", value = "0")
        double evalFraction,

        @Setting(doc = "longest row in tokens; what is beyond is cut off", value = "512", aliases = "max_seq_length")
        int maxLength,

        @Setting(doc = "train on the prompt too, the whole text encoded at once", value = "false")
        boolean trainOnPrompt,

        @Setting(doc = "append the end-of-sequence token to each response, and train it", value = "true")
        boolean appendEos,

        @Setting(doc = "a new order each epoch, from the seed", value = "true")
        boolean shuffle) {
    public DataSettings {
        trainFile = List.copyOf(trainFile);
        Check.that(maxLength >= 2, "max_length", maxLength, "2 or more");
        if (evalFile.isPresent() && evalFraction > 0) {
            throw new InputException("eval_file and eval_fraction are both given\n  keep the one that you mean");
        }
        Check.that(evalFraction >= 0 && evalFraction < 1, "eval_fraction", evalFraction, "from 0 to below 1");
    }
}
