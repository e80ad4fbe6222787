package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// Which rows are trained, in which order.
public record DataSettings(
        @Setting(doc = "rows to train on: files, directories or globs", required = true)
        List<Path> trainFile,

        @Setting(doc = "rows to evaluate on") Optional<Path> evalFile,

        @Setting(doc = "part of the training rows kept for evaluation, by content hash", value = "0")
        double evalFraction,

        @Setting(doc = "rows blended in, and their share of the documents of an epoch: FILE=0.15")
        List<String> mix,

        @Setting(doc = "several training files: concatenate, or interleave (each in proportion)", value = "concatenate")
        CombineChoice combine,

        @Setting(doc = "train equal rows once: the first stays", value = "false")
        boolean dedup,

        @Setting(doc = "a new order each epoch, from the seed", value = "true")
        boolean shuffle,

        @Setting(
                doc = "none, or bfd: rows of a step become sequences of up to max_length tokens, whole rows each",
                value = "none")
        PackingChoice packing,

        @Setting(doc = "most tokens of an optimizer step, instead of batch x accumulation; 0: rows", value = "0")
        int tokensPerStep) {
    public DataSettings {
        trainFile = List.copyOf(trainFile);
        mix = List.copyOf(mix);
        if (evalFile.isPresent() && evalFraction > 0) {
            throw new InputException("eval_file and eval_fraction are both given\n  keep the one that you mean");
        }
        Check.that(evalFraction >= 0 && evalFraction < 1, "eval_fraction", evalFraction, "from 0 to below 1");
        Check.that(tokensPerStep >= 0, "tokens_per_step", tokensPerStep, "0 or more");
        double sum = mix.stream().map(Mix::parse).mapToDouble(Mix::share).sum();
        Check.that(sum < 1, "mix", mix, "shares that sum up to less than 1: the rest are rows of train_file");
    }

    /// Rows that are blended in.
    ///
    /// @param share their part of the documents that an epoch trains, above 0 and below 1
    public record Mix(Path file, double share) {
        private static final Pattern SPELLING = Pattern.compile("(.+)=(0?\\.\\d+)", Pattern.DOTALL);

        static Mix parse(String text) {
            Matcher matcher = SPELLING.matcher(text);
            Check.that(
                    matcher.matches() && Double.parseDouble(matcher.group(2)) > 0,
                    "mix",
                    "'" + text + "'",
                    "a file and its share, above 0 and below 1: FILE=0.15");
            return new Mix(Path.of(matcher.group(1)), Double.parseDouble(matcher.group(2)));
        }
    }

    /// What `mix` says.
    public List<Mix> mixes() {
        return mix.stream().map(Mix::parse).toList();
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

    /// The same with rows blended in, each `FILE=SHARE`.
    public DataSettings withMix(String... mixed) {
        return new DataSettings(
                trainFile, evalFile, evalFraction, List.of(mixed), combine, dedup, shuffle, packing, tokensPerStep);
    }

    /// The same with equal rows trained once.
    public DataSettings deduplicated() {
        return new DataSettings(trainFile, evalFile, evalFraction, mix, combine, true, shuffle, packing, tokensPerStep);
    }
}
