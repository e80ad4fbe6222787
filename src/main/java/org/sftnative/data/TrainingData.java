package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;

/// The rows of a run: those it trains on and, if it evaluates, those it does not.
///
/// @param bad what is wrong with each broken row that was skipped, in order
public record TrainingData(Dataset train, Optional<Dataset> eval, List<String> bad) {
    /// Rows are read in pieces of this many, so that text never fills the memory while all cores
    /// tokenise.
    private static final int PIECE = 4096;

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
        return new Loading(settings, rows, encoding, tokenizer).load();
    }

    /// One reading of all files.
    private static final class Loading {
        private final DataSettings settings;
        private final Encoder encoder;
        private final Collector train;
        private final Collector eval;
        private final boolean splits;
        private final BadRows bad;

        Loading(DataSettings settings, RowSettings rows, EncodingSettings encoding, Tokenizer tokenizer) {
            this.settings = settings;
            bad = new BadRows(rows.maxBad());
            splits = settings.evalFraction() > 0;
            encoder = new Encoder(tokenizer, encoding);
            train = new Collector("train_file", settings, encoding.maxLength(), settings.dedup(), bad);
            eval = new Collector(splits ? "eval_fraction" : "eval_file", settings, encoding.maxLength(), false, bad);
        }

        TrainingData load() {
            for (Path file : settings.trainFile()) {
                read(file, settings.evalFraction(), Optional.empty());
            }
            train.check();
            settings.evalFile().ifPresent(file -> read(file, 1, Optional.empty()));
            boolean evaluates = splits || settings.evalFile().isPresent();
            if (evaluates) {
                eval.check();
            }
            for (DataSettings.Mix mix : settings.mixes()) {
                read(mix.file(), 0, Optional.of(mix));
            }
            train.seen.keySet().forEach(trained -> eval.shared += eval.seen.getOrDefault(trained, 0));
            return new TrainingData(
                    train.dataset(), evaluates ? Optional.of(eval.dataset()) : Optional.empty(), bad.messages());
        }

        private record Read(int row, Example example) {}

        private record Tokenised(int row, ContentHash hash, Encoder.Encoded encoded, Optional<InputException> broken) {}

        /// @param evalFraction 0: all rows train, 1: all evaluate
        private void read(Path file, double evalFraction, Optional<DataSettings.Mix> mix) {
            RowFormat format = new RowFormat.Alpaca();
            train.open(file, "alpaca", mix);
            eval.open(file, "alpaca", Optional.empty());
            try (Rows rows = Rows.open(file)) {
                while (rows.hasNext()) {
                    List<Row> piece = new ArrayList<>(PIECE);
                    while (rows.hasNext() && piece.size() < PIECE) {
                        piece.add(rows.next());
                    }
                    piece.parallelStream()
                            .map(row -> tokenise(format, row))
                            .toList() // in the order of the piece
                            .forEach(row -> add(file, row, evalFraction, mix.isPresent()));
                }
            }
            train.close(mix);
            eval.close(Optional.empty());
        }

        private Tokenised tokenise(RowFormat format, Row row) {
            try {
                Example example = format.example(row);
                return new Tokenised(
                        row.number(), ContentHash.of(example), encoder.encode(row.number(), example), Optional.empty());
            } catch (InputException e) {
                InputException named = e.getMessage().startsWith(row.where())
                        ? e
                        : new InputException(row.where() + ": " + e.getMessage(), e);
                return new Tokenised(
                        row.number(),
                        new ContentHash(0, 0),
                        new Encoder.Encoded(Optional.empty(), false),
                        Optional.of(named));
            }
        }

        private void add(Path file, Tokenised row, double evalFraction, boolean mixed) {
            Collector side = row.hash().position() < evalFraction ? eval : train;
            if (row.broken().isPresent()) {
                bad.add(row.broken().get());
            } else if (mixed && splits && eval.seen.containsKey(row.hash())) {
                side.rows++;
                side.shared++;
            } else {
                side.add(file, row.row(), row.hash(), row.encoded());
            }
        }
    }

    /// Gathers one side.
    private static final class Collector {
        private final String setting;
        private final DataSettings settings;
        private final int maxLength;
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

        Collector(String setting, DataSettings settings, int maxLength, boolean dedup, BadRows bad) {
            this.bad = bad;
            this.maxLength = maxLength;
            this.setting = setting;
            this.settings = settings;
            this.dedup = dedup;
        }

        void open(Path file, String format, Optional<DataSettings.Mix> mix) {
            opened = new Dataset.Source(file, format, documents.size(), rows, truncated, duplicates);
            mix.ifPresent(m -> mixes.add(new Dataset.Mix(file, documents.size(), m.share())));
        }

        void close(Optional<DataSettings.Mix> mix) {
            if (mix.isPresent() && documents.size() == opened.first()) {
                throw new InputException("'mix' leaves no row of " + opened.file() + ": of " + (rows - opened.rows())
                        + " rows, " + (duplicates - opened.duplicates()) + " are equal to others, and the rest are"
                        + " evaluated or lose every label\n  leave it out, or give other rows");
            }
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

        void add(Path file, int row, ContentHash hash, Encoder.Encoded encoded) {
            rows++;
            if (seen.merge(hash, 1, Integer::sum) > 1) {
                duplicates++;
                if (dedup) {
                    return;
                }
            }
            truncated += encoded.truncated() ? 1 : 0;
            encoded.document().ifPresentOrElse(this::add, () -> dropped.add(new Dataset.Dropped(file, row)));
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
