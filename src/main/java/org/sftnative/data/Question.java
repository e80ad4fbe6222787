package org.sftnative.data;

import java.nio.file.Path;
import java.util.Optional;

/// A row as it is put to a model.
///
/// @param file where the row is from
/// @param row its number there, from 1
/// @param prompt token ids up to where the answer begins, as training has them
/// @param expected what the row says as answer; empty if it says none
/// @param end by what a model that was trained on such rows ends its answer, beside the end of the sequence
public record Question(Path file, int row, int[] prompt, Optional<String> expected, TurnEnd end) {
    /// For a message: `rows.jsonl, row 17`.
    public String where() {
        return file + ", row " + row;
    }
}
