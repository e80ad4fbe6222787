package org.sftnative.data;

import org.sftnative.config.DataSettings;
import org.sftnative.config.PackingChoice;

/// What an optimizer step is made of.
///
/// @param rows rows of a step, or packed sequences where rows are packed
/// @param tokens instead: rows until the next would exceed this many tokens, at least one; 0: by
///     `rows`
/// @param packLength most tokens of a packed sequence; 0: rows are not packed
public record StepShape(int rows, int tokens, int packLength) {
    public StepShape {
        if (rows < 1 || tokens < 0 || packLength < 0) {
            throw new IllegalArgumentException(rows + " rows a step, must be at least 1; " + tokens
                    + " tokens and sequences of " + packLength + ", must be at least 0");
        }
    }

    /// Steps as the settings say.
    ///
    /// @param maxLength most tokens of a packed sequence
    /// @param rows batch x accumulation
    public static StepShape of(DataSettings data, int maxLength, int rows) {
        return new StepShape(rows, data.tokensPerStep(), data.packing() == PackingChoice.BFD ? maxLength : 0);
    }

    /// A number of rows.
    public static StepShape ofRows(int rows) {
        return new StepShape(rows, 0, 0);
    }

    /// Whether every epoch has as many steps as another; else their number depends on the epoch's
    /// order.
    boolean isUniform() {
        return tokens == 0 && packLength == 0;
    }

    /// In words: `16 rows`, `16 sequences of up to 512 tokens`, `at most 8192 tokens`.
    @Override
    public String toString() {
        String unit = packLength > 0 ? "sequences of up to " + packLength + " tokens" : "rows";
        return tokens > 0 ? "at most " + tokens + " tokens" + (packLength > 0 ? " of " + unit : "") : rows + " " + unit;
    }
}
