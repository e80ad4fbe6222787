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
/// @param documents every one has a label
/// @param sources which documents come from which file, in order
/// @param report counts
public record Dataset(List<Document> documents, List<Source> sources, Report report) {
    /// Documents of one file.
    ///
    /// @param first index of its first document
    public record Source(Path file, int first) {}

    /// A row that lost every label.
    public record Dropped(Path file, int row) {}

    /// What tokenisation did.
    ///
    /// @param rows rows read
    /// @param tokens tokens of all documents
    /// @param labelTokens trained positions of all documents
    /// @param truncated rows that were cut at the maximum length, dropped ones among them
    /// @param dropped rows that are no documents because no label was left
    public record Report(int rows, long tokens, long labelTokens, int truncated, List<Dropped> dropped) {
        public Report {
            dropped = List.copyOf(dropped);
        }
    }

    public Dataset {
        documents = List.copyOf(documents);
        sources = List.copyOf(sources);
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
