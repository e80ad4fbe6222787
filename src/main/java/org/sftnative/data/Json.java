package org.sftnative.data;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.io.JsonFiles;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Strict JSON: no duplicate keys, nothing after the document.
final class Json {
    static final JsonMapper STRICT = strict(StreamReadConstraints.defaults());

    /// The same for rows, whose texts may be as long as a row.
    static final JsonMapper ROWS = strict(
            StreamReadConstraints.builder().maxStringLength(TextLines.LONGEST).build());

    private Json() {}

    private static JsonMapper strict(StreamReadConstraints limits) {
        return JsonMapper.builder(JsonFactory.builder()
                        .streamReadConstraints(limits)
                        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                        .build())
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build();
    }

    /// The JSON object that a file holds.
    ///
    /// @throws InputException if the file is missing, not UTF-8, not JSON, or something else than an object
    static ObjectNode object(Path file) {
        try {
            String text = Files.readString(file);
            JsonNode node = STRICT.readTree(text.startsWith("\uFEFF") ? text.substring(1) : text);
            if (node instanceof ObjectNode object) {
                return object;
            }
            throw new InputException(file + " holds " + kind(node) + ", must be a JSON object");
        } catch (CharacterCodingException e) {
            throw new InputException(file + " is not UTF-8 text", e);
        } catch (IOException e) {
            throw new InputException("cannot read " + file + ": " + reason(e), e);
        } catch (JacksonException e) {
            throw new InputException(file + " is not valid JSON" + where(e) + ": " + JsonFiles.problem(e), e);
        }
    }

    /// Like [#object], and empty if there is no such file.
    static Optional<ObjectNode> objectIfThere(Path file) {
        return Files.exists(file) ? Optional.of(object(file)) : Optional.empty();
    }

    /// What a JSON value is, in a message: `a string`, `an object`.
    static String kind(JsonNode node) {
        return switch (node.getNodeType()) {
            case ARRAY -> "an array";
            case OBJECT -> "an object";
            case STRING -> "a string";
            case NUMBER -> "a number";
            case BOOLEAN -> "true or false";
            case NULL -> "null";
            default -> "nothing";
        };
    }

    /// Whether a value is the number 0 or the number 1.
    static boolean isOneOrNone(JsonNode node) {
        OptionalDouble value = node.isNumber() ? node.asDoubleOpt() : OptionalDouble.empty();
        return value.isPresent() && (value.getAsDouble() == 0 || value.getAsDouble() == 1);
    }

    /// For a message: ` (keys: instruction, response)`.
    static String keys(ObjectNode object) {
        List<String> names =
                object.propertyNames().stream().limit(20).map(Json::shown).toList();
        return " (keys: " + String.join(", ", names) + (object.size() > names.size() ? ", ..." : "") + ")";
    }

    /// A text of a row, short enough for a message and without what a terminal would obey.
    static String shown(String text) {
        String line = text.codePoints()
                .limit(80)
                .mapToObj(c -> Character.isISOControl(c) ? "\\u%04x".formatted(c) : Character.toString(c))
                .collect(Collectors.joining());
        return text.codePointCount(0, text.length()) > 80 ? line + "..." : line;
    }

    /// ` in line 3`, or nothing where the parser does not know.
    static String where(JacksonException e) {
        return e.getLocation() == null || e.getLocation().getLineNr() < 1
                ? ""
                : " in line " + e.getLocation().getLineNr();
    }

    /// What an IOException says in a user's words.
    static String reason(IOException e) {
        return switch (e) {
            case java.nio.file.NoSuchFileException _ -> "no such file";
            case java.nio.file.AccessDeniedException _ -> "access denied";
            case java.io.EOFException _ -> "it is cut off";
            case java.util.zip.ZipException _ -> "it is no whole gzip file";
            default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        };
    }
}
