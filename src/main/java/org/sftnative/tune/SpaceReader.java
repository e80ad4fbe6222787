package org.sftnative.tune;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.StreamSupport;
import org.sftnative.InputException;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsField;
import org.sftnative.config.SettingsSchema;
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

/// Reads the YAML of a search space. A setting's entry is one of
///
///     learning_rate: loguniform(1e-5, 1e-3)       # a word of Ray's
///     learning_rate: {loguniform: [1e-5, 1e-3]}   # the same
///     weight_decay: 0.1                           # a constant
///     min_lr_rate:                                # only under a condition
///       when: {lr_scheduler_type: cosine_with_min_lr}
///       value: uniform(0.0, 0.5)
///     learning_rate:                              # the first entry whose condition holds
///       - when: {per_device_train_batch_size: ">= 4"}
///         value: loguniform(1e-4, 1e-3)
///       - value: loguniform(1e-5, 1e-4)
final class SpaceReader {
    private static final Pattern CALL = Pattern.compile("(?s)\\s*([A-Za-z_]\\w*)\\s*\\((.*)\\)\\s*");
    private static final Pattern COMPARISON = Pattern.compile("\\s*(<=|>=|!=|<|>)\\s*(\\S.*?)\\s*");

    private final SettingsSchema<RunSettings> schema;
    private final String name;

    private SpaceReader(SettingsSchema<RunSettings> schema, String name) {
        this.schema = schema;
        this.name = name;
    }

    /// The parameters, in the order of the file.
    ///
    /// @param name of the file, for messages
    /// @throws InputException naming the line
    static List<Parameter> read(SettingsSchema<RunSettings> schema, String text, String name) {
        SpaceReader reader = new SpaceReader(schema, name);
        Optional<Node> root = compose(text, name);
        if (root.isEmpty()
                || (root.get() instanceof ScalarNode scalar && scalar.getValue().isEmpty())) {
            return List.of();
        }
        if (!(root.get() instanceof MappingNode mapping)) {
            throw new InputException(name + " is no mapping\n  write lines like learning_rate: loguniform(1e-5, 1e-3)");
        }
        List<Parameter> parameters = new ArrayList<>();
        Map<String, String> seen = new HashMap<>();
        for (NodeTuple entry : mapping.getValue()) {
            String origin = reader.origin(entry.getKeyNode());
            SettingsField field = reader.field(reader.scalar(entry.getKeyNode(), origin, "a name"), origin);
            String before = seen.put(field.name(), origin);
            if (before != null) {
                throw new InputException("setting '" + field.name() + "' is given twice: " + before + " and " + origin
                        + "\n  keep one of them, or write a list of entries with 'when'");
            }
            parameters.addAll(reader.entries(field, entry.getValueNode(), origin));
        }
        return parameters;
    }

    private static Optional<Node> compose(String text, String name) {
        try {
            List<Node> documents = StreamSupport.stream(
                            new Compose(LoadSettings.builder()
                                            .setLabel(name)
                                            .setAllowNonScalarKeys(true)
                                            .build())
                                    .composeAllFromString(text)
                                    .spliterator(),
                            false)
                    .toList();
            if (documents.size() > 1) {
                throw new InputException(name + " has " + documents.size() + " documents\n  keep one");
            }
            return documents.stream().findFirst();
        } catch (MarkedYamlEngineException e) {
            String where =
                    e.getProblemMark().map(mark -> ":" + (mark.getLine() + 1)).orElse("");
            throw new InputException(
                    name + where + " is not valid YAML: " + e.getProblem()
                            + "\n  within {...} and [...], quote a value with commas: \"uniform(0.0, 0.2)\"",
                    e);
        } catch (StackOverflowError e) {
            throw new InputException(name + " is not valid YAML: nested too deeply", e);
        } catch (YamlEngineException e) {
            throw new InputException(name + " is not valid YAML: " + e.getMessage(), e);
        }
    }

    private List<Parameter> entries(SettingsField field, Node value, String origin) {
        if (!(value instanceof SequenceNode list)
                || list.getValue().isEmpty()
                || list.getValue().stream().noneMatch(MappingNode.class::isInstance)) {
            return List.of(entry(field, value, 0, origin));
        }
        List<Parameter> found = new ArrayList<>();
        for (Node element : list.getValue()) {
            if (!found.isEmpty() && found.getLast().when().isEmpty()) {
                throw new InputException(origin(element) + ": this entry of '" + field.name()
                        + "' is never reached: the one before it has no 'when'");
            }
            found.add(entry(field, element, found.size(), origin(element)));
        }
        return found;
    }

    private Parameter entry(SettingsField field, Node value, int alternative, String origin) {
        if (value instanceof MappingNode mapping && key(mapping, "value").isPresent()) {
            for (NodeTuple part : mapping.getValue()) {
                String key = scalar(part.getKeyNode(), origin, "a key");
                if (!key.equals("value") && !key.equals("when")) {
                    throw fault(field, origin).apply("has '" + key + "'\n  an entry has 'value' and 'when'");
                }
            }
            return new Parameter(
                    field.name(),
                    alternative,
                    key(mapping, "when").map(when -> conditions(when, origin)).orElse(List.of()),
                    domain(field, key(mapping, "value").orElseThrow(), origin),
                    origin);
        }
        return new Parameter(field.name(), alternative, List.of(), domain(field, value, origin), origin);
    }

    private List<Condition> conditions(Node when, String origin) {
        if (!(when instanceof MappingNode mapping) || mapping.getValue().isEmpty()) {
            throw new InputException(origin + ": 'when' must name settings: when: {lr_scheduler_type: cosine}");
        }
        List<Condition> conditions = new ArrayList<>();
        for (NodeTuple part : mapping.getValue()) {
            SettingsField other = field(scalar(part.getKeyNode(), origin, "a name"), origin);
            conditions.add(condition(other, part.getValueNode(), origin));
        }
        return conditions;
    }

    private Condition condition(SettingsField other, Node node, String origin) {
        if (node instanceof SequenceNode list) {
            return new Condition(
                    other.name(),
                    "=",
                    list.getValue().stream()
                            .map(element -> value(other, element, origin))
                            .toList());
        }
        Matcher comparison = COMPARISON.matcher(node instanceof ScalarNode scalar ? scalar.getValue() : "");
        if (!comparison.matches()) {
            return new Condition(other.name(), "=", List.of(value(other, node, origin)));
        }
        Object against = Values.of(schema, other, List.of(comparison.group(2)), origin);
        if (!comparison.group(1).equals("!=") && !(against instanceof Number)) {
            throw new InputException(origin + ": 'when' compares '" + other.name() + "' with " + comparison.group(1)
                    + ", and it is no number\n  write the values for which it holds");
        }
        return new Condition(other.name(), comparison.group(1), List.of(against));
    }

    private Domain domain(SettingsField field, Node node, String origin) {
        if (node instanceof MappingNode mapping) {
            if (mapping.getValue().size() != 1
                    || !(mapping.getValue().getFirst().getValueNode() instanceof SequenceNode list)) {
                throw fault(field, origin)
                        .apply("is a mapping\n  write a word of Ray's, such as choice([1, 2]), or 'when' and 'value'");
            }
            String word = scalar(mapping.getValue().getFirst().getKeyNode(), origin, "a word");
            return domain(field, function(field, word, origin), list.getValue(), origin);
        }
        if (node instanceof ScalarNode scalar) {
            Matcher call = CALL.matcher(scalar.getValue());
            boolean quoted = scalar.getScalarStyle() != ScalarStyle.PLAIN;
            if (call.matches() && !(quoted && Functions.named(call.group(1)).isEmpty())) {
                Functions function = function(field, call.group(1), origin);
                // what stands between the parentheses is a YAML list
                Node arguments = compose("[" + call.group(2) + "]", origin).orElseThrow();
                if (!(arguments instanceof SequenceNode list)) {
                    throw fault(field, origin).apply("is '" + scalar.getValue() + "', which cannot be read");
                }
                List<Node> given = list.getValue();
                if (function.takesValues()) {
                    if (given.size() != 1 || !(given.getFirst() instanceof SequenceNode values)) {
                        throw fault(field, origin)
                                .apply("is '" + scalar.getValue() + "', must be " + function.word()
                                        + "([value, value])");
                    }
                    given = values.getValue();
                }
                return domain(field, function, given, origin);
            }
        }
        return new Domain.Constant(value(field, node, origin));
    }

    private Domain domain(SettingsField field, Functions function, List<Node> arguments, String origin) {
        return function.takesValues()
                ? function.choice(
                        arguments.stream()
                                .map(node -> value(field, node, origin))
                                .toList(),
                        fault(field, origin))
                : function.range(
                        arguments.stream()
                                .map(node -> scalar(node, origin, "a number"))
                                .toList(),
                        field,
                        fault(field, origin));
    }

    private Functions function(SettingsField field, String word, String origin) {
        return Functions.named(word)
                .orElseThrow(() -> fault(field, origin)
                        .apply("has the unknown word '" + word + "'\n  " + Functions.hint(word)
                                + (word.equals("sample_from") ? "; for a dependent value use 'when'" : "")));
    }

    private Object value(SettingsField field, Node node, String origin) {
        if (node instanceof SequenceNode list) {
            if (field.shape() != SettingsField.Shape.LIST) {
                throw fault(field, origin).apply("is a list\n  write choice([...]) to have one of its values");
            }
            return Values.of(
                    schema,
                    field,
                    list.getValue().stream()
                            .map(element -> scalar(element, origin, "an element"))
                            .toList(),
                    origin);
        }
        return Values.of(schema, field, List.of(scalar(node, origin, "the value of '" + field.name() + "'")), origin);
    }

    private SettingsField field(String key, String origin) {
        return schema.find(key).orElseThrow(() -> {
            schema.resolve(List.of(new SettingValue(key, List.of("?"), origin))); // says what was meant
            return new IllegalStateException(key);
        });
    }

    private static Optional<Node> key(MappingNode mapping, String key) {
        return mapping.getValue().stream()
                .filter(part -> part.getKeyNode() instanceof ScalarNode scalar
                        && scalar.getValue().equals(key))
                .map(NodeTuple::getValueNode)
                .findFirst();
    }

    private String scalar(Node node, String origin, String what) {
        if (!(node instanceof ScalarNode scalar)
                || (scalar.getScalarStyle() == ScalarStyle.PLAIN
                        && List.of("", "~", "null").contains(scalar.getValue()))) {
            throw new InputException(origin + ": " + what + " is missing, or is no single value");
        }
        return scalar.getValue();
    }

    private Function<String, InputException> fault(SettingsField field, String origin) {
        return what -> new InputException("setting '" + field.name() + "' (" + origin + "): " + what);
    }

    private String origin(Node node) {
        return name
                + node.getStartMark().map(mark -> ":" + (mark.getLine() + 1)).orElse("");
    }
}
