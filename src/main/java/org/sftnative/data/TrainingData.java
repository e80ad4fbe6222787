package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;

/// The rows of a run: those it trains on and, if it evaluates, those it does not.
public record TrainingData(Dataset train, Optional<Dataset> eval) {
    /// Reads and tokenises. The result is the same for any number of cores.
    ///
    /// With `eval_fraction`, which side a row is on depends on its prompt and response alone: duplicates never
    /// straddle, and a row stays where it is when others are added. The fraction is met only on average.
    ///
    /// @throws InputException if a file or a row is broken, a set has no rows, or none of its rows keeps a label
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
        boolean split = settings.evalFraction() > 0;
        if (split && settings.evalFile().isPresent()) {
            throw new InputException("both 'eval_file' and 'eval_fraction' are given\n  give one of them");
        }
        Encoder encoder = new Encoder(tokenizer, encoding);
        Collector train = new Collector("train_file", settings, encoding.maxLength());
        Collector eval = new Collector(split ? "eval_fraction" : "eval_file", settings, encoding.maxLength());
        BadRows bad = new BadRows(rows.maxBad());
        Tokenisation tokenisation = new Tokenisation(tokenizer, encoder, encoding, rows, say);
        for (Path file : RowFiles.resolve(settings.trainFile())) {
            read(file, tokenisation, bad, settings.evalFraction(), train, eval);
        }
        for (Path file : RowFiles.resolve(settings.evalFile().stream().toList())) {
            read(file, tokenisation, bad, 1, train, eval);
        }
        boolean evaluates = split || settings.evalFile().isPresent();
        return new TrainingData(train.dataset(), evaluates ? Optional.of(eval.dataset()) : Optional.empty());
    }

    /// @param evalFraction 0: all rows train, 1: all evaluate
    private static void read(
            Path file, Tokenisation tokenisation, BadRows bad, double evalFraction, Collector train, Collector eval) {
        train.open(file);
        eval.open(file);
        for (EncodedRow row : tokenisation.read(file, bad).rows()) {
            (row.hash().position() < evalFraction ? eval : train).add(file, row);
        }
    }

    private static final class Collector {
        private final String setting;
        private final DataSettings settings;
        private final int maxLength;
        private final List<Document> documents = new ArrayList<>();
        private final List<Dataset.Source> sources = new ArrayList<>();
        private final List<Dataset.Dropped> dropped = new ArrayList<>();
        private int rows;
        private long tokens;
        private long labelTokens;
        private int truncated;

        Collector(String setting, DataSettings settings, int maxLength) {
            this.maxLength = maxLength;
            this.setting = setting;
            this.settings = settings;
        }

        void open(Path file) {
            sources.add(new Dataset.Source(file, documents.size()));
        }

        void add(Path file, EncodedRow row) {
            rows++;
            truncated += row.truncated() ? 1 : 0;
            row.documents().forEach(this::add);
            if (row.documents().isEmpty()) {
                dropped.add(new Dataset.Dropped(file, row.row()));
            }
        }

        private void add(Document document) {
            documents.add(document);
            tokens += document.length();
            labelTokens += document.labelTokens();
        }

        Dataset dataset() {
            if (rows == 0) {
                throw new InputException("'" + setting + "' leaves no row of "
                        + (setting.equals("eval_file") ? settings.evalFile().stream() : settings.trainFile().stream())
                                .map(Path::toString)
                                .collect(Collectors.joining(", "))
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
            return new Dataset(documents, sources, new Dataset.Report(rows, tokens, labelTokens, truncated, dropped));
        }
    }
}
