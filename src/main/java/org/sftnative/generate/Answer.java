package org.sftnative.generate;

/// What came of a request.
///
/// @param tokens the new tokens, with the one that ended the text if one did
/// @param text of them, without special tokens and without the text that ended it
/// @param end why it ended
public record Answer(int[] tokens, String text, End end) {
    /// Why a text ends.
    public enum End {
        /// A stop token came.
        STOP_TOKEN,
        /// A stop text came.
        STOP_TEXT,
        /// It has the most new tokens, or the model has no more positions.
        LENGTH,
        /// Whoever asked wants no more.
        CANCELLED
    }
}
