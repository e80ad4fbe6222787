package org.sftnative.data;

/// One row after tokenisation: the unit that packing never splits and attention never crosses.
///
/// @param row number of the row in its file, from 1 (for messages)
/// @param inputIds (n) token ids, n at least 1
/// @param labels (n) the label of each position, unshifted as in transformers: the token's own id where it is trained,
/// -100
///     where it is not; the first is never trained (nothing predicts it)
public record Document(int row, int[] inputIds, int[] labels) {
    /// The label of a position that is not trained.
    public static final int IGNORED = -100;

    public Document {
        if (inputIds.length == 0 || inputIds.length != labels.length) {
            throw new IllegalArgumentException(
                    "row " + row + ": " + inputIds.length + " token ids and " + labels.length + " labels");
        }
        if (labels[0] != IGNORED) {
            throw new IllegalArgumentException("row " + row + ": the first token has a label, but nothing predicts it");
        }
    }

    /// Tokens of this document.
    public int length() {
        return inputIds.length;
    }

    /// Positions that are trained; the same before and after the shift, since the first label is never one.
    public int labelTokens() {
        int n = 0;
        for (int label : labels) {
            if (label != IGNORED) {
                n++;
            }
        }
        return n;
    }
}
