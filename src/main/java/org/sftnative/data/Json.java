package org.sftnative.data;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Strict JSON: no duplicate keys, nothing after the document.
final class Json {
    static final JsonMapper STRICT = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private Json() {}

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
            throw new InputException(file + " is not valid JSON" + where(e) + ": " + e.getOriginalMessage(), e);
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
            default -> e.getMessage();
        };
    }
}
