package org.sftnative.data;

import java.util.Arrays;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.config.EncodingSettings;

/// Examples to documents.
///
/// Normally prompt and response are encoded apart, so that no token straddles the boundary: the prompt with BOS if the
/// tokenizer adds one, then the response with EOS, and only response and EOS are trained.
/// With `trainOnPrompt` the whole text is encoded at once and all of it is trained, but for the first token, which
/// nothing predicts.
/// A row is cut at `maxLength` tokens; one that is cut has lost its EOS, one of exactly `maxLength` keeps it.
public final class Encoder {
    private final Tokenizer tokenizer;
    private final int maxLength;
    private final boolean trainOnPrompt;
    private final boolean appendEos;

    /// @param maxLength most tokens of a document
    /// @throws InputException if an EOS is to be appended and the model has none
    public Encoder(Tokenizer tokenizer, EncodingSettings settings) {
        this(tokenizer, settings.maxLength(), settings.trainOnPrompt(), settings.appendEos());
    }

    Encoder(Tokenizer tokenizer, int maxLength, boolean trainOnPrompt, boolean appendEos) {
        if (appendEos && tokenizer.eosId().isEmpty()) {
            throw new InputException("the tokenizer names no end-of-sequence token"
                    + "\n  set eos_token in tokenizer_config.json, or append none: --no-append-eos");
        }
        this.tokenizer = tokenizer;
        this.maxLength = maxLength;
        this.trainOnPrompt = trainOnPrompt;
        this.appendEos = appendEos;
    }

    /// @param document empty if every label was cut away, or there was none
    /// @param truncated whether the row was longer than the encoder's `maxLength`
    public record Encoded(Optional<Document> document, boolean truncated) {}

    /// @param row the row's number in its file
    public Encoded encode(int row, Example example) {
        return switch (example) {
            case Example.Completion completion -> completion(row, completion);
            case Example.PlainText _, Example.Conversation _ -> throw new UnsupportedOperationException();
        };
    }

    private Encoded completion(int row, Example.Completion example) {
        int[] given = trainOnPrompt ? new int[0] : tokenizer.encodeRow(example.prompt(), true, false);
        int[] learned = trainOnPrompt
                ? tokenizer.encodeRow(example.prompt() + example.response(), true, true)
                : tokenizer.encodeRow(example.response(), false, false);
        int[] ids = Arrays.copyOf(given, given.length + learned.length);
        System.arraycopy(learned, 0, ids, given.length, learned.length);
        if (appendEos && !endsWith(ids, tokenizer.eosId().getAsInt())) {
            ids = Arrays.copyOf(ids, ids.length + 1);
            ids[ids.length - 1] = tokenizer.eosId().getAsInt();
        }
        boolean truncated = ids.length > maxLength;
        if (truncated) {
            ids = Arrays.copyOf(ids, maxLength);
        }
        int firstLabel = Math.max(given.length, 1);
        if (firstLabel >= ids.length) {
            return new Encoded(Optional.empty(), truncated);
        }
        int[] labels = ids.clone();
        Arrays.fill(labels, 0, firstLabel, Document.IGNORED);
        return new Encoded(Optional.of(new Document(row, ids, labels)), truncated);
    }

    /// A tokenizer may have written EOS after the whole text itself; one is enough.
    private static boolean endsWith(int[] ids, int eos) {
        return ids.length > 0 && ids[ids.length - 1] == eos;
    }
}
