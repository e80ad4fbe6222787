package org.sftnative.config;

import java.util.Locale;

/// What the fields of a row mean.
public enum FormatChoice {
    /// As the first rows show.
    AUTO,
    /// `instruction`, `input`, `output`; `system` and `history` if wanted.
    ALPACA,
    /// `messages` or `conversations`, each with `role` and `content`.
    CHAT,
    /// `conversations`, each with `from` and `value`.
    SHAREGPT,
    /// `prompt` and `completion`, trained on the completion.
    COMPLETION,
    /// `text`, every token trained.
    TEXT;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
