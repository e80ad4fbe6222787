package org.sftnative.cli;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.sftnative.InputException;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsField;
import org.sftnative.config.SettingsSchema;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/// Settings as picocli options, and the options that were given as settings. Every option holds text; what it means
/// is the setting's business, so that a flag and a YAML line are refused in the same words.
final class SettingsOptions {
    private SettingsOptions() {}

    static List<OptionSpec> of(SettingsSchema<?> schema) {
        return schema.fields().stream().map(SettingsOptions::option).toList();
    }

    private static OptionSpec option(SettingsField field) {
        String doc = field.doc()
                + (field.required()
                        ? " (required)"
                        : field.defaultText().map(d -> " (default: " + d + ")").orElse(""));
        OptionSpec.Builder option = OptionSpec.builder(field.flags().toArray(String[]::new))
                .description(doc.replace("%", "%%"))
                .paramLabel(label(field));
        if (field.isSwitch()) {
            return option.type(Boolean.class)
                    .negatable(true)
                    .arity("0..1")
                    .fallbackValue("true")
                    .build();
        }
        return field.shape() == SettingsField.Shape.LIST
                ? option.type(List.class)
                        .auxiliaryTypes(String.class)
                        .arity("1..*")
                        .build()
                : field.bare()
                        .map(bare -> option.type(String.class).arity("0..1").fallbackValue(bare))
                        .orElseGet(() -> option.type(String.class).arity("1"))
                        .build();
    }

    private static String label(SettingsField field) {
        return switch (field.type().getSimpleName()) {
            case "Path" -> "PATH";
            case "Integer", "Long", "Double" -> "N";
            case "String" -> "TEXT";
            default -> "NAME";
        };
    }

    /// The settings among the options that were given; the origin is the flag as it was typed.
    static List<SettingValue> given(SettingsSchema<?> schema, ParseResult result) {
        List<SettingValue> values = new ArrayList<>();
        Set<OptionSpec> lists = new HashSet<>();
        for (OptionSpec option : result.matchedOptions()) {
            if (option.isMultiValue() && !lists.add(option)) {
                continue; // given several times, it has all values at its first
            }
            Optional<SettingsField> field = schema.find(option.longestName().substring(2));
            if (field.isEmpty()) {
                continue; // --config, --stacktrace
            }
            String flag = Arguments.typed(result.originalArgs(), option.names()).orElse(option.longestName());
            if (field.get().isSwitch()
                    && flag.startsWith("--no-")
                    && Arguments.hasTruthValue(result.originalArgs(), flag)) {
                throw new InputException("option '" + flag + "' takes no value\n  it says no already; "
                        + field.get().flag() + " says yes");
            }
            List<?> given = option.getValue() instanceof List<?> list ? list : List.of(option.<Object>getValue());
            List<String> texts =
                    given.stream().map(text -> Arguments.value(text.toString())).toList();
            values.add(new SettingValue(field.get().name(), texts, flag));
        }
        return values;
    }
}
