package org.sftnative.config;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.sftnative.InputException;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Compose;
import org.snakeyaml.engine.v2.common.ScalarStyle;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.nodes.MappingNode;
import org.snakeyaml.engine.v2.nodes.Node;
import org.snakeyaml.engine.v2.nodes.NodeTuple;
import org.snakeyaml.engine.v2.nodes.ScalarNode;
import org.snakeyaml.engine.v2.nodes.SequenceNode;

/// A settings file: one YAML mapping of names to scalars or lists of scalars. Only its text is read here; what a
/// text means is the setting's business, so `eval_strategy: no` is the word no.
public final class SettingsFile {
    /// No settings file is near this size; a weights file given by mistake is.
    private static final int LIMIT_BYTES = 1 << 20;

    private SettingsFile() {}

    /// The file's settings, each with its line.
    ///
    /// @throws InputException if the file cannot be read, is not YAML, is not one mapping, or has a key twice
    public static List<SettingValue> read(Path file) {
        return parse(text(file), file.toString());
    }

    static List<SettingValue> parse(String text, String name) {
        List<Node> documents;
        try {
            documents = StreamSupport.stream(
                            new Compose(LoadSettings.builder()
                                            .setLabel(name)
                                            .setAllowNonScalarKeys(true) // to be refused below, with their line
                                            .build())
                                    .composeAllFromString(text)
                                    .spliterator(),
                            false)
                    .toList();
        } catch (MarkedYamlEngineException e) {
            String where =
                    e.getProblemMark().map(mark -> ":" + (mark.getLine() + 1)).orElse("");
            throw new InputException(name + where + " is not valid YAML: " + e.getProblem(), e);
        } catch (StackOverflowError e) {
            // the parser is recursive and has no limit of its own
            throw new InputException(name + " is not valid YAML: nested too deeply", e);
        } catch (YamlEngineException e) {
            throw new InputException(name + " is not valid YAML: " + e.getMessage(), e);
        } catch (NumberFormatException | IndexOutOfBoundsException e) {
            // the parser's own, of an escape such as "\\x"
            throw new InputException(name + " is not valid YAML: an escape in quotes is cut short", e);
        }
        if (documents.size() > 1) {
            throw new InputException(origin(name, documents.get(1)) + " starts a second document\n  keep one");
        }
        return documents.isEmpty() ? List.of() : settings(documents.getFirst(), name);
    }

    private static List<SettingValue> settings(Node root, String name) {
        if (root instanceof ScalarNode scalar && isNull(scalar)) {
            return List.of();
        }
        if (!(root instanceof MappingNode mapping)) {
            throw new InputException(
                    name + " is " + kind(root) + ", must be a mapping\n  write lines like learning_rate: 2e-5");
        }
        Map<String, String> lines = new HashMap<>();
        List<SettingValue> values = new ArrayList<>();
        for (NodeTuple entry : mapping.getValue()) {
            String origin = origin(name, entry.getKeyNode());
            if (!(entry.getKeyNode() instanceof ScalarNode key)) {
                throw new InputException(origin + " has a key that is " + kind(entry.getKeyNode()));
            }
            String before = lines.put(key.getValue(), origin);
            if (before != null) {
                throw new InputException("setting '" + key.getValue() + "' is given twice: " + before + " and " + origin
                        + "\n  keep one of them");
            }
            values.add(new SettingValue(key.getValue(), texts(entry.getValueNode(), key.getValue(), origin), origin));
        }
        return values;
    }

    private static List<String> texts(Node value, String key, String origin) {
        return switch (value) {
            case ScalarNode scalar -> isNull(scalar) ? List.of() : List.of(scalar.getValue());
            case SequenceNode list ->
                list.getValue().stream()
                        .map(element -> element instanceof ScalarNode scalar && !isNull(scalar)
                                ? scalar.getValue()
                                : refuse(key, origin, "has a list element that is " + kind(element)))
                        .collect(Collectors.toList());
            default -> List.of(refuse(key, origin, "is " + kind(value) + "\n  settings are flat: name: value"));
        };
    }

    private static String refuse(String key, String origin, String what) {
        throw new InputException("setting '" + key + "' (" + origin + ") " + what);
    }

    /// Only unquoted: `""` and `"null"` are texts.
    private static boolean isNull(ScalarNode scalar) {
        return scalar.getScalarStyle() == ScalarStyle.PLAIN
                && List.of("", "~", "null", "Null", "NULL").contains(scalar.getValue());
    }

    private static String kind(Node node) {
        return switch (node) {
            case MappingNode _ -> "a mapping";
            case SequenceNode _ -> "a list";
            case ScalarNode scalar -> isNull(scalar) ? "null" : "the text '" + scalar.getValue() + "'";
            default -> "an alias";
        };
    }

    private static String origin(String name, Node node) {
        return name
                + node.getStartMark().map(mark -> ":" + (mark.getLine() + 1)).orElse("");
    }

    /// The text of a small file.
    ///
    /// @throws InputException if it does not exist, is larger than 1 MiB, or is not UTF-8
    public static String text(Path file) {
        // a stream, not Files.size: --config /dev/stdin is welcome
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = in.readNBytes(LIMIT_BYTES + 1);
            if (bytes.length > LIMIT_BYTES) {
                throw new InputException(file + " is larger than 1 MiB: not a settings file");
            }
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (NoSuchFileException e) {
            throw new InputException("settings file " + file + " does not exist", e);
        } catch (CharacterCodingException e) {
            throw new InputException("settings file " + file + " is not UTF-8 text", e);
        } catch (IOException e) {
            throw new InputException("settings file " + file + " cannot be read: " + e.getMessage(), e);
        }
    }
}
