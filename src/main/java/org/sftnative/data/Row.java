package org.sftnative.data;

import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.io.JsonFiles;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
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
                .orElseThrow(
                        () -> wrong("'" + field + "' is " + (fields.has(field) ? "null" : "missing") + keys(), needs));
    }

    /// The text of a field that may be missing or null.
    ///
    /// @throws InputException if it is there but no string, or not Unicode
    public Optional<String> find(String field, String needs) {
        JsonNode value = fields.path(field);
        if (value.isMissingNode() || value.isNull()) {
            return Optional.empty();
        }
        return Optional.of(text(value, "'" + field + "'", needs));
    }

    /// The text that a value of this row is.
    ///
    /// @param what what to call the value in a message: `'output'`, `turn 3: 'content'`
    String text(JsonNode value, String what, String needs) {
        if (!value.isString()) {
            throw wrong(what + " is " + Json.kind(value) + ", must be a string" + keys(), needs);
        }
        checkTexts(value, what);
        return value.stringValue();
    }

    /// @throws InputException if a text in this value is not Unicode: half of a surrogate pair, by an escape, for
    ///     which no tokenizer has bytes
    void checkTexts(JsonNode value, String what) {
        if (value.isContainer()) {
            value.forEach(part -> checkTexts(part, what));
        } else if (value.isString() && holdsHalf(value.stringValue())) {
            throw wrong(
                    what + " holds half of a surrogate pair, which is no character",
                    "write the file again with whole characters");
        }
    }

    private static boolean holdsHalf(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                boolean whole = i + 1 < text.length() && Character.isSurrogatePair(text.charAt(i), text.charAt(i + 1));
                if (!whole) {
                    return true;
                }
                i++;
            }
        }
        return false;
    }

    /// The array of a field that may be missing, null or empty, then empty. CSV and Parquet often hold it as JSON in
    /// a string, which is read.
    Optional<ArrayNode> array(String field, String needs) {
        JsonNode value = fields.path(field);
        if (value.isString()) {
            String text = value.stringValue();
            if (text.isBlank()) {
                return Optional.empty();
            }
            try {
                value = Json.ROWS.readTree(text);
            } catch (JacksonException e) {
                throw wrong("'" + field + "' is a string that is no JSON: " + JsonFiles.problem(e), needs);
            }
        }
        if (value.isMissingNode() || value.isNull()) {
            return Optional.empty();
        }
        if (value instanceof ArrayNode array) {
            return Optional.of(array).filter(a -> !a.isEmpty());
        }
        throw wrong("'" + field + "' is " + Json.kind(value) + ", must be an array" + keys(), needs);
    }

    /// An error in this row.
    ///
    /// @param next what to do about it
    InputException wrong(String what, String next) {
        return new InputException(where() + ": " + what + "\n  " + next);
    }

    /// For a message: ` (keys: instruction, response)`.
    String keys() {
        return Json.keys(fields);
    }
}
