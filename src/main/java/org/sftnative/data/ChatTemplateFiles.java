package org.sftnative.data;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The chat templates of a model directory, as transformers finds them: `chat_template.jinja` and
/// `additional_chat_templates/NAME.jinja` or, if there are none of these, what tokenizer_config.json says.
final class ChatTemplateFiles {
    private ChatTemplateFiles() {}

    /// @return sources by name, the file's and a lone one's is `default`
    /// @throws InputException if a file cannot be read, or `chat_template` is neither text nor a list of
    ///     named texts
    static Map<String, String> read(Path directory, Optional<ObjectNode> config) {
        Map<String, String> templates = new TreeMap<>();
        Path file = directory.resolve("chat_template.jinja");
        if (Files.isRegularFile(file)) {
            templates.put("default", text(file));
        }
        for (Path more : list(directory.resolve("additional_chat_templates"))) {
            String name = more.getFileName().toString();
            templates.put(name.substring(0, name.length() - ".jinja".length()), text(more));
        }
        if (templates.isEmpty()) {
            config.map(c -> c.path("chat_template")).ifPresent(given -> named(directory, given, templates));
        }
        return templates;
    }

    private static void named(Path directory, JsonNode given, Map<String, String> templates) {
        if (given.isString()) {
            templates.put("default", given.stringValue());
            return;
        }
        boolean list = given.isMissingNode() || given.isNull() || given.isArray();
        for (JsonNode entry : given) {
            list &= entry.path("name").isString() && entry.path("template").isString();
            templates.put(
                    entry.path("name").asString(""), entry.path("template").asString(""));
        }
        if (!list) {
            throw new InputException(directory.resolve("tokenizer_config.json")
                    + ": 'chat_template' is neither a string nor a list of {name, template}");
        }
    }

    private static List<Path> list(Path folder) {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(f -> f.getFileName().toString().endsWith(".jinja"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new InputException("cannot read " + folder + ": " + Json.reason(e), e);
        }
    }

    /// A template's text.
    static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (CharacterCodingException e) {
            throw new InputException(file + " is not UTF-8 text", e);
        } catch (IOException e) {
            throw new InputException("cannot read " + file + ": " + Json.reason(e), e);
        }
    }
}
