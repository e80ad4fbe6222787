package org.sftnative.config;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// One setting: what its record component says of it.
///
/// @param group simple name of the record that holds it, without `Settings`: `Model`, `Data`, `Training`
/// @param name snake_case, as in YAML
/// @param type of one element: boolean, int, long, double (boxed), String, Path or an enum
/// @param shape one element, an Optional of it, or a List of it
/// @param doc one line
/// @param defaultText the default as a user would type it; empty if it is absent or required
/// @param aliases other names, snake_case
/// @param bare what the flag means without a value
/// @param required whether it must be given
public record SettingsField(
        String group,
        String name,
        Class<?> type,
        Shape shape,
        String doc,
        Optional<String> defaultText,
        List<String> aliases,
        Optional<String> bare,
        boolean required) {
    /// How many elements a setting holds.
    public enum Shape {
        ONE,
        OPTIONAL,
        LIST
    }

    private static final Pattern NUMBER = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");

    /// The flag: `--learning-rate`.
    public String flag() {
        return flag(name);
    }

    /// Every flag, the main one first.
    public List<String> flags() {
        return Stream.concat(Stream.of(name), aliases.stream())
                .map(SettingsField::flag)
                .toList();
    }

    /// Whether it is on or off, so that its flag takes no value.
    public boolean isSwitch() {
        return type == Boolean.class;
    }

    private static String flag(String name) {
        return "--" + name.replace('_', '-');
    }

    /// The component's value: an element, an Optional, or a List.
    ///
    /// @throws InputException if the text is not of this setting's type, naming origin, value and what is expected
    Object parse(SettingValue value) {
        List<String> texts = value.texts();
        return switch (shape) {
            case LIST ->
                texts.stream().map(text -> element(text, value.origin())).toList();
            case OPTIONAL -> texts.isEmpty() ? Optional.empty() : Optional.of(element(single(value), value.origin()));
            case ONE -> element(single(value), value.origin());
        };
    }

    private String single(SettingValue value) {
        if (value.texts().size() != 1) {
            throw new InputException("setting '" + name + "' (" + value.origin() + ") is "
                    + (value.texts().isEmpty()
                            ? "null"
                            : "a list of " + value.texts().size()) + ", must be "
                    + expected());
        }
        return value.texts().getFirst();
    }

    private Object element(String text, String origin) {
        Object parsed = null;
        try {
            if (type == Boolean.class) {
                parsed = text.equalsIgnoreCase("true")
                        ? Boolean.TRUE
                        : text.equalsIgnoreCase("false") ? Boolean.FALSE : null;
            } else if (type == Integer.class) {
                parsed = Integer.valueOf(text);
            } else if (type == Long.class) {
                parsed = Long.valueOf(text);
            } else if (type == Double.class) {
                // Double.valueOf alone would also take 1d, 0x1p3 and NaN
                parsed = NUMBER.matcher(text).matches() ? Double.valueOf(text) : null;
            } else if (type == String.class) {
                parsed = text.isEmpty() ? null : text;
            } else if (type == Path.class) {
                parsed = text.isEmpty() ? null : Path.of(text);
            } else {
                parsed = Arrays.stream(type.getEnumConstants())
                        .filter(constant -> same(constant.toString(), text))
                        .findFirst()
                        .orElse(null);
            }
        } catch (NumberFormatException | InvalidPathException e) {
            parsed = null;
        }
        if (parsed == null) {
            throw new InputException(
                    "setting '" + name + "' (" + origin + ") is '" + text + "', must be " + expected());
        }
        return parsed;
    }

    /// Whether two spellings of a name are the same: `-` is `_`, case does not count.
    static boolean same(String a, String b) {
        return a.replace('-', '_').equalsIgnoreCase(b.replace('-', '_'));
    }

    private String expected() {
        if (type.isEnum()) {
            return Arrays.stream(type.getEnumConstants()).map(Object::toString).collect(Collectors.joining(", "));
        }
        return switch (type.getSimpleName()) {
            case "Boolean" -> "true or false";
            case "Integer" -> "a whole number of at most " + Integer.MAX_VALUE;
            case "Long" -> "a whole number";
            case "Double" -> "a number";
            case "Path" -> "a path";
            default -> "a text that is not empty";
        };
    }
}
