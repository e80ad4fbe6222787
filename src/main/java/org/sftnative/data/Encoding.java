package org.sftnative.data;

/// Tokens of a text, and the characters that each stands for.
///
/// @param ids (n) token ids
/// @param starts (n) first character of each, a UTF-16 offset in the text
/// @param ends (n) the offset after its last; bytes of one character have the same span, a token without
///     characters an empty one
record Encoding(int[] ids, int[] starts, int[] ends) {
    /// Whether a token has a character of `from` to `to` (exclusive), or is an empty one between them.
    boolean touches(int token, int from, int to) {
        return starts[token] == ends[token]
                ? starts[token] >= from && starts[token] < to
                : starts[token] < to && ends[token] > from;
    }
}
