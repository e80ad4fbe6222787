package org.sftnative.data;

import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// One row of a file, as it was written.
///
/// @param number from 1, counting rows and not lines
/// @param fields its keys and values
public record Row(Path file, int number, ObjectNode fields) {
    /// Where this row is, for a message: `train.json, row 17`.
    public String where() {
        return file + ", row " + number;
    }

    /// The text of a field that must be there.
    ///
    /// @param needs what rows of this format have, for the message
    /// @throws InputException if it is missing, no string, or not Unicode
    public String text(String field, String needs) {
        return find(field, needs)
                .orElseThrow(() -> new InputException(where() + ": '" + field + "' is "
                        + (fields.has(field) ? "null" : "missing") + " (keys: "
                        + String.join(", ", fields.propertyNames()) + ")\n  " + needs));
    }

    /// The text of a field that may be missing or null.
    ///
    /// @throws InputException if it is there but no string, or not Unicode
    public Optional<String> find(String field, String needs) {
        JsonNode value = fields.path(field);
        if (value.isMissingNode() || value.isNull()) {
            return Optional.empty();
        }
        if (!value.isString()) {
            throw new InputException(where() + ": '" + field + "' is " + Json.kind(value) + ", must be a string (keys: "
                    + String.join(", ", fields.propertyNames()) + ")\n  " + needs);
        }
        String text = value.stringValue();
        // half of a surrogate pair, by an escape: no tokenizer has bytes for it
        if (text.codePoints().anyMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE)) {
            throw new InputException(where() + ": '" + field + "' holds half of a surrogate pair, which is no character"
                    + "\n  write the file again with whole characters");
        }
        return Optional.of(text);
    }
}
