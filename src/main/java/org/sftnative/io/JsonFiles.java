package org.sftnative.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.core.util.Separators;
import tools.jackson.databind.DatabindException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.cfg.JsonNodeFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// JSON files of a model directory: read strictly, written as transformers writes them.
public final class JsonFiles {
    /// Bounds what a wrong file can make us allocate; the index of a model of 100,000 tensors has 10 MB.
    private static final long LARGEST = 256L << 20;

    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(JsonNodeFeature.WRITE_PROPERTIES_SORTED)
            .build();

    private static final ObjectWriter PYTHON_STYLE = MAPPER.writer()
            .with(new DefaultPrettyPrinter(Separators.createDefaultInstance()
                            .withObjectNameValueSpacing(Separators.Spacing.AFTER)
                            .withObjectEmptySeparator("")
                            .withArrayEmptySeparator(""))
                    .withObjectIndenter(new DefaultIndenter("  ", "\n"))
                    .withArrayIndenter(new DefaultIndenter("  ", "\n")));

    private static final Pattern PARSERS_OWN = Pattern.compile(
            " ?\\((?:for \\w+ starting at|start marker at) \\[Source:.*?(?:\\]\\)|$)|,? ?\\(?(?:from )?`[\\w.]+(?:\\(\\))?`\\)?");

    private JsonFiles() {}

    /// Reads a file that holds one JSON object in UTF-8.
    ///
    /// @throws InputException naming the file, and the line where it stops being JSON
    public static ObjectNode readObject(Path path) {
        String text = text(path);
        try {
            JsonNode node = MAPPER.readTree(text);
            if (node instanceof ObjectNode object) {
                return object;
            }
            throw new InputException(path + ": "
                    + (node.isMissingNode()
                            ? "is empty"
                            : "holds " + node.getNodeType().name().toLowerCase(Locale.ROOT))
                    + ", must hold a JSON object");
        } catch (JacksonException e) {
            int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
            throw new InputException(path + ", line " + Math.max(1, line) + ": not JSON: " + problem(e), e);
        }
    }

    /// What is wrong with JSON, in words for its author: without the parser's own names, settings and places.
    public static String problem(JacksonException e) {
        if (e instanceof DatabindException wrong && !wrong.getPath().isEmpty()) {
            String member = wrong.getPath().stream()
                    .map(step -> step.getPropertyName() == null ? "" + step.getIndex() : step.getPropertyName())
                    .collect(Collectors.joining("."));
            return "'" + Shown.text(member) + "' is missing, of a wrong kind or out of its range";
        }
        String said = e.getOriginalMessage() == null ? "" : e.getOriginalMessage();
        return Shown.text(
                PARSERS_OWN.matcher(said.lines().findFirst().orElse("")).replaceAll(""));
    }

    /// A node as Python's `json.dumps(node, indent=2, sort_keys=True)` writes it, with a newline at the end.
    public static String pretty(JsonNode node) {
        return PYTHON_STYLE.writeValueAsString(node) + "\n";
    }

    private static String text(Path path) {
        try {
            long size = Files.size(path);
            if (size > LARGEST) {
                throw new InputException(path + ": has " + size + " bytes, more than a JSON file of a model has");
            }
            byte[] bytes = Files.readAllBytes(path);
            CharsetDecoder utf8 = StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT);
            String text = utf8.decode(ByteBuffer.wrap(bytes)).toString();
            if (text.startsWith("\ufeff")) {
                throw new InputException(path + ", line 1: not JSON: starts with a byte order mark");
            }
            return text;
        } catch (CharacterCodingException e) {
            throw new InputException(path + ": is not UTF-8", e);
        } catch (NoSuchFileException e) {
            throw new InputException(path + " does not exist", e);
        } catch (IOException e) {
            throw new InputException(path + ": cannot be read: " + e.getMessage(), e);
        }
    }
}
