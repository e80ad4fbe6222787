package org.sftnative.config;

import java.util.Optional;

/// What tokens and labels are made of a row.
public record EncodingSettings(
        @Setting(doc = "longest row in tokens", value = "512", aliases = "max_seq_length")
        int maxLength,

        @Setting(doc = "what becomes of longer rows: truncate, drop, split or error", value = "truncate")
        OverlongChoice overlong,

        @Setting(
                doc =
                        "a built-in chat template, or a Jinja file: rows of texts become turns of it, too; default: the model's own, for chat rows only")
        Optional<String> chatTemplate,

        @Setting(doc = "what of a conversation is trained: all, assistant or last-turn", value = "assistant")
        TrainOn trainOn,

        @Setting(doc = "train on the prompt too, the whole text encoded at once", value = "false")
        boolean trainOnPrompt,

        @Setting(doc = "append the end-of-sequence token to responses and texts, and train it", value = "true")
        boolean appendEos) {
    public EncodingSettings {
        Check.that(maxLength >= 2, "max_length", maxLength, "2 or more");
    }

    /// The defaults at a length.
    public static EncodingSettings ofLength(int maxLength) {
        return new EncodingSettings(
                maxLength, OverlongChoice.TRUNCATE, Optional.empty(), TrainOn.ASSISTANT, false, true);
    }
}
