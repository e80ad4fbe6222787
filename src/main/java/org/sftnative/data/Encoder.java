package org.sftnative.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.TrainOn;
import org.sftnative.template.Rendered;
import org.sftnative.template.Span;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Examples to documents. Safe for use by several threads.
///
/// - A completion: prompt and response are encoded apart, so that no token straddles the boundary: the prompt with BOS
///   if the tokenizer adds one, then the response with EOS, and only response and EOS are trained. With
///   `train_on_prompt` the whole text is encoded at once and all of it is trained.
/// - A text: encoded whole, with EOS, and all of it is trained.
/// - A conversation: rendered with the chat template and encoded whole; special tokens are those that the template
///   wrote. Trained are the assistant's turns with the token that ends each, as `train_on` and the turns' own
///   `weight` say. A token is trained if one of its characters is, as in transformers' `assistant_masks`.
///
/// A document's first token is never trained, as nothing predicts it. A row longer than `max_length` is dealt with as
/// `overlong` says; one that is cut has lost its EOS, one of exactly `max_length` keeps it.
public final class Encoder {
    private final Tokenizer tokenizer;
    private final EncodingSettings settings;
    private final ChatFormat format;

    /// @throws InputException if an EOS is to be appended and the model has none, or the chat template that the
    ///     settings name is none
    public Encoder(Tokenizer tokenizer, EncodingSettings settings) {
        if (settings.appendEos() && tokenizer.eosId().isEmpty()) {
            throw new InputException("the tokenizer names no end-of-sequence token"
                    + "\n  set eos_token in tokenizer_config.json, or append none: --no-append-eos");
        }
        this.tokenizer = tokenizer;
        this.settings = settings;
        this.format = ChatFormat.of(tokenizer, settings.chatTemplate());
    }

    Encoder(Tokenizer tokenizer, int maxLength, boolean trainOnPrompt, boolean appendEos) {
        this(
                tokenizer,
                new EncodingSettings(
                        maxLength,
                        OverlongChoice.TRUNCATE,
                        Optional.empty(),
                        TrainOn.ASSISTANT,
                        trainOnPrompt,
                        appendEos));
    }

    /// @param documents none if every label was cut away, or there was none, or the row is left out as too long;
    ///     several if it was split
    /// @param truncated whether the row was longer than `max_length`: what became of it is in `overlong`
    public record Encoded(List<Document> documents, boolean truncated) {
        public Encoded {
            documents = List.copyOf(documents);
        }

        /// The first document, which is the only one unless the row was split.
        public Optional<Document> document() {
            return documents.stream().findFirst();
        }
    }

    /// @param row the row's number in its file
    /// @throws InputException if the row is a conversation that has no template, that the template refuses, or of
    ///     which nothing would be trained; or longer than `max_length`, where that is an error
    public Encoded encode(int row, Example example) {
        return switch (example) {
            case Example.Completion completion -> completion(row, completion);
            case Example.PlainText(String text) ->
                fit(row, withEos(tokenizer.encodeRow(text, true, true)), allLabels());
            case Example.Conversation(var messages, var tools) -> conversation(row, messages, tools);
        };
    }

    /// Which tokens of a row are trained.
    private interface Trained {
        boolean at(int token);
    }

    private static Trained allLabels() {
        return _ -> true;
    }

    private Encoded completion(int row, Example.Completion example) {
        boolean all = settings.trainOnPrompt();
        int[] given = all ? new int[0] : tokenizer.encodeRow(example.prompt(), true, false);
        int[] learned = all
                ? tokenizer.encodeRow(example.prompt() + example.response(), true, true)
                : tokenizer.encodeRow(example.response(), false, false);
        int[] ids = Arrays.copyOf(given, given.length + learned.length);
        System.arraycopy(learned, 0, ids, given.length, learned.length);
        return fit(row, withEos(ids), token -> token >= given.length);
    }

    private Encoded conversation(int row, List<ObjectNode> rows, Optional<JsonNode> tools) {
        List<ObjectNode> messages = new ArrayList<>();
        boolean[] wanted = new boolean[rows.size()];
        for (int i = 0; i < wanted.length; i++) {
            ObjectNode message = rows.get(i).deepCopy();
            wanted[i] = weight(i, message.remove("weight"));
            messages.add(message);
        }
        Rendered rendered = format.render(messages, tools, false);
        Encoding encoding = format.encode(rendered, messages);
        int[] ids = format.withBos(encoding.ids());
        int before = ids.length - encoding.ids().length;
        if (settings.trainOnPrompt() || settings.trainOn() == TrainOn.ALL) {
            return fit(row, ids, allLabels());
        }
        boolean[] trained = new boolean[ids.length];
        for (Span span :
                trainedSpans(new TurnSpans(format, tokenizer.special(), messages, tools, rendered).find(), wanted)) {
            for (int t = 0; t < encoding.ids().length; t++) {
                trained[before + t] |= encoding.touches(t, span.start(), span.end());
            }
        }
        boolean some = false;
        for (int t = 1; t < trained.length; t++) {
            some |= trained[t];
        }
        if (!some) {
            throw new InputException("no token of this conversation would be trained"
                    + "\n  "
                    + (settings.trainOn() == TrainOn.LAST_TURN
                            ? "its last turn is not the assistant's, is empty or has weight 0"
                            : "it has no turn of the assistant with text and a weight of 1, or the chat template leaves"
                                    + " them out"));
        }
        return fit(row, ids, token -> trained[token]);
    }

    /// Whether a turn is to be trained by its own weight.
    private static boolean weight(int index, JsonNode weight) {
        if (weight == null || weight.isNull()) {
            return true;
        }
        if (Json.isOneOrNone(weight)) {
            return weight.doubleValue() == 1;
        }
        throw new InputException("turn " + (index + 1) + " has weight " + weight + ", must be 0 or 1");
    }

    private List<Span> trainedSpans(Map<Integer, List<Span>> turns, boolean[] wanted) {
        int last = turns.keySet().stream().max(Integer::compare).orElse(-1);
        boolean lastOnly = settings.trainOn() == TrainOn.LAST_TURN;
        List<Span> spans = new ArrayList<>();
        turns.forEach((turn, its) -> {
            if (wanted[turn] && (!lastOnly || turn == last)) {
                spans.addAll(its);
            }
        });
        return spans;
    }

    private int[] withEos(int[] ids) {
        if (!settings.appendEos()) {
            return ids;
        }
        int eos = tokenizer.eosId().getAsInt();
        if (ids.length > 0 && ids[ids.length - 1] == eos) {
            return ids; // a tokenizer may have written it after the whole text itself; one is enough
        }
        int[] longer = Arrays.copyOf(ids, ids.length + 1);
        longer[ids.length] = eos;
        return longer;
    }

    private Encoded fit(int row, int[] ids, Trained trained) {
        int maxLength = settings.maxLength();
        boolean overlong = ids.length > maxLength;
        List<Document> documents = new ArrayList<>();
        if (!overlong || settings.overlong() == OverlongChoice.TRUNCATE) {
            piece(row, ids, 0, trained).ifPresent(documents::add);
            return new Encoded(documents, overlong);
        }
        switch (settings.overlong()) {
            case SPLIT -> {
                for (int from = 0; from < ids.length; from += maxLength) {
                    piece(row, ids, from, trained).ifPresent(documents::add);
                }
            }
            case ERROR ->
                throw new InputException("has " + ids.length + " tokens, max_length is " + maxLength
                        + "\n  raise it, or choose what becomes of such rows: --overlong truncate, drop or split");
            default -> {
                // left out
            }
        }
        return new Encoded(documents, true);
    }

    /// The tokens from `from` on, `max_length` at most; empty if none of them is trained.
    private Optional<Document> piece(int row, int[] ids, int from, Trained trained) {
        int[] piece = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + settings.maxLength()));
        int[] labels = piece.clone();
        boolean some = false;
        for (int t = 0; t < labels.length; t++) {
            boolean label = t > 0 && trained.at(from + t);
            labels[t] = label ? labels[t] : Document.IGNORED;
            some |= label;
        }
        return some ? Optional.of(new Document(row, piece, labels)) : Optional.empty();
    }
}
