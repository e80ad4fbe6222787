package org.sftnative.data;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;

/// The rows of a run: those it trains on and, if it evaluates, those it does not.
public record TrainingData(Dataset train, Optional<Dataset> eval) {
    /// Rows are read in pieces of this many, so that text never fills the memory while all cores tokenise.
    private static final int PIECE = 4096;

    /// Reads and tokenises. The result is the same for any number of cores.
    ///
    /// With `eval_fraction`, which side a row is on depends on its prompt and response alone: duplicates never
    /// straddle, and a row stays where it is when others are added. The fraction is met only on average.
    ///
    /// @throws InputException if a file or a row is broken, a set has no rows, or none of its rows keeps a label
    public static TrainingData load(
            DataSettings settings, RowSettings rows, EncodingSettings encoding, Tokenizer tokenizer) {
        boolean split = settings.evalFraction() > 0;
        if (split && settings.evalFile().isPresent()) {
            throw new InputException("both 'eval_file' and 'eval_fraction' are given\n  give one of them");
        }
        Encoder encoder = new Encoder(tokenizer, encoding);
        Collector train = new Collector("train_file", settings, encoding.maxLength());
        Collector eval = new Collector(split ? "eval_fraction" : "eval_file", settings, encoding.maxLength());
        for (Path file : settings.trainFile()) {
            read(file, settings.evalFraction(), encoder, train, eval);
        }
        settings.evalFile().ifPresent(file -> read(file, 1, encoder, train, eval));
        boolean evaluates = split || settings.evalFile().isPresent();
        return new TrainingData(train.dataset(), evaluates ? Optional.of(eval.dataset()) : Optional.empty());
    }

    private record Read(int row, boolean evaluated, Example example) {}

    private record Tokenised(Read read, Encoder.Encoded encoded) {}

    /// @param evalFraction 0: all rows train, 1: all evaluate
    private static void read(Path file, double evalFraction, Encoder encoder, Collector train, Collector eval) {
        train.open(file);
        eval.open(file);
        RowFormat format = new RowFormat.Alpaca();
        try (Rows rows = Rows.open(file)) {
            while (rows.hasNext()) {
                List<Read> piece = new ArrayList<>(PIECE);
                while (rows.hasNext() && piece.size() < PIECE) {
                    Row row = rows.next();
                    Example example = format.example(row);
                    piece.add(new Read(row.number(), position(example) < evalFraction, example));
                }
                List<Tokenised> done = piece.parallelStream()
                        .map(read -> new Tokenised(read, encode(file, encoder, read)))
                        .toList(); // in the order of the piece
                done.forEach(row -> (row.read().evaluated() ? eval : train)
                        .add(file, row.read().row(), row.encoded()));
            }
        }
    }

    private static Encoder.Encoded encode(Path file, Encoder encoder, Read read) {
        try {
            return encoder.encode(read.row(), read.example());
        } catch (InputException e) {
            throw new InputException(file + ", row " + read.row() + ": " + e.getMessage(), e);
        }
    }

    /// Where an example lies in [0, 1), by its content.
    static double position(Example example) {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            List<String> parts = switch (example) {
                case Example.Completion(String prompt, String response) -> List.of(prompt, response);
                case Example.PlainText(String text) -> List.of(text);
                case Example.Conversation(var messages, var tools) -> List.of(messages.toString(), tools.toString());
            };
            for (String part : parts) {
                byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
                sha.update(ByteBuffer.allocate(4).putInt(bytes.length).array()); // else text could change sides
                sha.update(bytes);
            }
            return (ByteBuffer.wrap(sha.digest()).getLong() >>> 11) * 0x1.0p-53;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
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

        void add(Path file, int row, Encoder.Encoded encoded) {
            rows++;
            truncated += encoded.truncated() ? 1 : 0;
            encoded.documents().forEach(this::add);
            if (encoded.documents().isEmpty()) {
                dropped.add(new Dataset.Dropped(file, row));
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
