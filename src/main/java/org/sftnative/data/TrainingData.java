package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.RowSettings;

/// The rows of a run: those it trains on and, if it evaluates, those it does not.
///
/// @param bad what is wrong with each broken row that was skipped, in order
public record TrainingData(Dataset train, Optional<Dataset> eval, List<String> bad) {
    /// Reads and tokenises. The result is the same for any number of cores.
    ///
    /// With `eval_fraction`, which side a row is on depends on its prompt and response alone:
    /// duplicates never straddle, and a row stays where it is when others are added. The fraction
    /// is met only on average. Rows of a mixed set are never evaluated; one that is equal to a row
    /// kept for evaluation is left out.
    ///
    /// @throws InputException if a file is broken, more rows are than may be, a set has no rows, or
    ///     none of its rows keeps a label
    public static TrainingData load(
            DataSettings settings, RowSettings rows, EncodingSettings encoding, Tokenizer tokenizer) {
        return load(settings, rows, encoding, tokenizer, _ -> {});
    }

    /// Like the other `load`.
    ///
    /// @param say hears what a person should know, a line each: the files' formats, a cache that cannot be used
    public static TrainingData load(
            DataSettings settings,
            RowSettings rows,
            EncodingSettings encoding,
            Tokenizer tokenizer,
            Consumer<String> say) {
        return new Loading(settings, rows, encoding, tokenizer, say).load();
    }

    /// One reading of all files.
    private static final class Loading {
        private final DataSettings settings;
        private final Tokenisation tokenisation;
        private final Collector train;
        private final Collector eval;
        private final boolean splits;
        private final BadRows bad;

        Loading(
                DataSettings settings,
                RowSettings rows,
                EncodingSettings encoding,
                Tokenizer tokenizer,
                Consumer<String> say) {
            this.settings = settings;
            bad = new BadRows(rows.maxBad());
            splits = settings.evalFraction() > 0;
            tokenisation = new Tokenisation(tokenizer, new Encoder(tokenizer, encoding), encoding, rows, say);
            train = new Collector("train_file", settings, encoding, settings.dedup(), bad);
            eval = new Collector(splits ? "eval_fraction" : "eval_file", settings, encoding, false, bad);
        }

        TrainingData load() {
            for (Path file : RowFiles.resolve(settings.trainFile())) {
                read(file, settings.evalFraction(), Optional.empty());
            }
            train.check();
            for (Path file : RowFiles.resolve(settings.evalFile().stream().toList())) {
                read(file, 1, Optional.empty());
            }
            boolean evaluates = splits || settings.evalFile().isPresent();
            if (evaluates) {
                eval.check();
            }
            for (DataSettings.Mix mix : settings.mixes()) {
                train.begin(mix);
                for (Path file : RowFiles.resolve(List.of(mix.file()))) {
                    read(file, 0, Optional.of(mix));
                }
                train.end(mix);
            }
            train.seen.keySet().forEach(trained -> eval.shared += eval.seen.getOrDefault(trained, 0));
            return new TrainingData(
                    train.dataset(), evaluates ? Optional.of(eval.dataset()) : Optional.empty(), bad.messages());
        }

        /// @param evalFraction 0: all rows train, 1: all evaluate
        private void read(Path file, double evalFraction, Optional<DataSettings.Mix> mix) {
            EncodedFile read = tokenisation.read(file, bad);
            train.open(file, read.format());
            eval.open(file, read.format());
            for (EncodedRow row : read.rows()) {
                Collector side = row.hash().position() < evalFraction ? eval : train;
                if (mix.isPresent() && splits && eval.seen.containsKey(row.hash())) {
                    side.rows++;
                    side.shared++;
                } else {
                    side.add(file, row);
                }
            }
            train.close();
            eval.close();
        }
    }

    /// Gathers one side.
    private static final class Collector {
        private final String setting;
        private final DataSettings settings;
        private final int maxLength;
        private final OverlongChoice overlong;
        private final boolean dedup;
        private final BadRows bad;
        private final List<Document> documents = new ArrayList<>();
        private final List<Dataset.Source> sources = new ArrayList<>();
        private final List<Dataset.Mix> mixes = new ArrayList<>();
        private final List<Dataset.Dropped> dropped = new ArrayList<>();
        private final Map<ContentHash, Integer> seen = new HashMap<>(); // and how often
        private int rows;
        private long tokens;
        private long labelTokens;
        private int truncated;
        private int duplicates;
        private int shared;
        private Dataset.Source opened; // with the counts before it

        Collector(String setting, DataSettings settings, EncodingSettings encoding, boolean dedup, BadRows bad) {
            this.bad = bad;
            this.maxLength = encoding.maxLength();
            this.overlong = encoding.overlong();
            this.setting = setting;
            this.settings = settings;
            this.dedup = dedup;
        }

        void open(Path file, String format) {
            opened = new Dataset.Source(file, format, documents.size(), rows, truncated, duplicates);
        }

        void close() {
            if (rows > opened.rows()) {
                sources.add(new Dataset.Source(
                        opened.file(),
                        opened.format(),
                        opened.first(),
                        rows - opened.rows(),
                        truncated - opened.truncated(),
                        duplicates - opened.duplicates()));
            }
        }

        void begin(DataSettings.Mix mix) {
            mixes.add(new Dataset.Mix(mix.file(), documents.size(), mix.share()));
        }

        /// @throws InputException if the set has no document
        void end(DataSettings.Mix mix) {
            if (documents.size() == mixes.getLast().first()) {
                throw new InputException("'mix' leaves no row of " + mix.file()
                        + ": all are equal to others, evaluated, or lose every label"
                        + "\n  leave it out, or give other rows");
            }
        }

        void add(Path file, EncodedRow row) {
            rows++;
            if (seen.merge(row.hash(), 1, Integer::sum) > 1) {
                duplicates++;
                if (dedup) {
                    return;
                }
            }
            truncated += row.truncated() ? 1 : 0;
            row.documents().forEach(this::add);
            boolean leftOut = row.truncated() && overlong == OverlongChoice.DROP; // it has labels, no room
            if (row.documents().isEmpty() && !leftOut) {
                dropped.add(new Dataset.Dropped(file, row.row()));
            }
        }

        private void add(Document document) {
            documents.add(document);
            tokens += document.length();
            labelTokens += document.labelTokens();
        }

        /// @throws InputException if there is no document
        void check() {
            if (rows == 0) {
                throw new InputException("'" + setting + "' leaves no row of "
                        + (setting.equals("eval_file") ? settings.evalFile().stream() : settings.trainFile().stream())
                                .map(Path::toString)
                                .collect(Collectors.joining(", "))
                        + (bad.messages().isEmpty()
                                ? ""
                                : ": " + bad.messages().size() + " are broken, the first: "
                                        + bad.messages().getFirst())
                        + "\n  give more rows" + (settings.evalFraction() > 0 ? ", or another fraction" : ""));
            }
            if (documents.isEmpty() && dropped.isEmpty()) {
                throw new InputException("'" + setting + "': all " + rows + " rows are longer than max_length "
                        + maxLength + "\n  raise it, or choose another --overlong");
            }
            if (documents.isEmpty()) {
                Dataset.Dropped first = dropped.getFirst();
                throw new InputException(
                        "'" + setting + "': all " + rows + " rows lose every label, from " + first.file()
                                + ", row " + first.row() + " on"
                                + "\n  "
                                + (truncated > 0
                                        ? "their prompts fill max_length " + maxLength + ": raise it"
                                        : "their responses are empty"));
            }
        }

        Dataset dataset() {
            return new Dataset(
                    documents,
                    sources,
                    mixes,
                    new Dataset.Report(rows, tokens, labelTokens, truncated, dropped, duplicates, shared));
        }
    }
}
