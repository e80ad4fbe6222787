package org.sftnative.data;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.sftnative.InputException;

/// Tokenised rows, in the order of their files, and what became of those that are missing.
///
/// @param documents every one has a label; first those of the files, then those of the mixed sets
/// @param sources which documents come from which file, in order, mixed sets too
/// @param mixes which documents are mixed in, in order
/// @param report counts
public record Dataset(List<Document> documents, List<Source> sources, List<Mix> mixes, Report report) {
    /// Documents of one file.
    ///
    /// @param format what its rows were read as
    /// @param first index of its first document
    /// @param rows rows read, but for those that are evaluated
    /// @param truncated rows that were cut at the maximum length
    /// @param duplicates rows that are equal to an earlier one of the data set
    public record Source(Path file, String format, int first, int rows, int truncated, int duplicates) {}

    /// A set that is mixed in: the documents from `first` to the next mix's first, or the end.
    ///
    /// @param share its part of the documents that an epoch trains, above 0 and below 1
    public record Mix(Path file, int first, double share) {}

    /// A row that lost every label.
    public record Dropped(Path file, int row) {}

    /// What tokenisation did.
    ///
    /// @param rows rows read, broken ones not counted
    /// @param tokens tokens of all documents
    /// @param labelTokens trained positions of all documents
    /// @param truncated rows that were cut at the maximum length, dropped ones among them
    /// @param dropped rows that are no documents because no label was left
    /// @param duplicates rows that are equal to an earlier one, left out or not
    /// @param shared of training rows: those left out of a mixed set because they are evaluated; of
    ///     evaluation rows: those that are trained too
    public record Report(
            int rows, long tokens, long labelTokens, int truncated, List<Dropped> dropped, int duplicates, int shared) {
        public Report {
            dropped = List.copyOf(dropped);
        }

        /// Rows that are all good, and all different.
        public Report(int rows, long tokens, long labelTokens, int truncated, List<Dropped> dropped) {
            this(rows, tokens, labelTokens, truncated, dropped, 0, 0);
        }
    }

    public Dataset {
        documents = List.copyOf(documents);
        sources = List.copyOf(sources);
        mixes = List.copyOf(mixes);
    }

    /// Documents of one file.
    public static Dataset of(Path file, List<Document> documents, Report report) {
        return new Dataset(documents, List.of(new Source(file, "rows", 0, documents.size(), 0, 0)), List.of(), report);
    }

    /// Where a document comes from, for a message: `train.json, row 17`.
    public String where(int document) {
        Path file = Path.of("rows");
        for (Source source : sources) {
            if (source.first() <= document) {
                file = source.file();
            }
        }
        return file + ", row " + documents.get(document).row();
    }

    /// A short hash of all documents, ids and labels, in their order: equal for equal training rows.
    public String fingerprint() {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            for (Document document : documents) {
                int n = document.length();
                ByteBuffer bytes =
                        ByteBuffer.allocate(Integer.BYTES * (1 + 2 * n)).putInt(n);
                bytes.asIntBuffer().put(document.inputIds()).put(document.labels());
                sha.update(bytes.array());
            }
            return HexFormat.of().formatHex(sha.digest(), 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /// @param vocabSize rows of the model's embedding
    /// @throws InputException if a token id lies beyond it, naming the first row that has one
    public void checkVocabulary(int vocabSize) {
        for (int d = 0; d < documents.size(); d++) {
            for (int id : documents.get(d).inputIds()) {
                if (id < 0 || id >= vocabSize) {
                    throw new InputException(where(d) + ": token id " + id + " is beyond the model's vocabulary of "
                            + vocabSize + "\n  tokenizer and model are from different models");
                }
            }
        }
    }
}
