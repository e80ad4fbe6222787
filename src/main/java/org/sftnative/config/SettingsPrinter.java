package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// Settings as text: the YAML that `--config` takes back, and the table of the docs.
public final class SettingsPrinter {
    private static final Pattern PLAIN = Pattern.compile("[A-Za-z0-9_./+][A-Za-z0-9_./+@%=:-]*");

    private SettingsPrinter() {}

    /// One line a setting, with its origin if it is not the default. What has no value is a comment, so that the
    /// output is also a form to fill in.
    public static String yaml(SettingsSchema<?> schema, ResolvedSettings resolved) {
        StringBuilder out = new StringBuilder();
        String group = "";
        for (SettingsField field : schema.fields()) {
            if (!field.group().equals(group)) {
                group = field.group();
                out.append(out.isEmpty() ? "" : "\n").append("# ").append(group).append('\n');
            }
            Optional<SettingValue> value = Optional.ofNullable(resolved.values().get(field));
            List<String> texts = value.map(SettingValue::texts).orElse(List.of());
            if (texts.isEmpty()) {
                out.append("# ").append(field.name()).append(":  # ");
                out.append(field.required() ? "required: " : "")
                        .append(field.doc())
                        .append('\n');
                continue;
            }
            out.append(field.name()).append(": ");
            out.append(
                    field.shape() == SettingsField.Shape.LIST
                            ? texts.stream().map(SettingsPrinter::quoted).collect(Collectors.joining(", ", "[", "]"))
                            : plain(field, texts.getFirst()));
            String origin = value.orElseThrow().origin();
            out.append(origin.equals("default") ? "" : "  # " + origin.replaceAll("\\p{Cntrl}", "?"));
            out.append('\n');
        }
        return out.toString();
    }

    /// The table of the docs: name, default, what it is, other names.
    public static String markdown(SettingsSchema<?> schema) {
        StringBuilder out = new StringBuilder();
        String group = "";
        for (SettingsField field : schema.fields()) {
            if (!field.group().equals(group)) {
                group = field.group();
                out.append("\n### ").append(group).append("\n\n| setting | default | what it is | other names |\n");
                out.append("| --- | --- | --- | --- |\n");
            }
            String standard = field.required()
                    ? "required"
                    : field.defaultText().map(t -> "`" + t + "`").orElse("");
            String others = field.aliases().stream().map(a -> "`" + a + "`").collect(Collectors.joining(", "));
            out.append("| `%s` | %s | %s | %s |\n"
                    .formatted(field.name(), standard, field.doc().replace("|", "\\|"), others));
        }
        return out.toString();
    }

    private static String plain(SettingsField field, String text) {
        boolean isText = field.type() == String.class || field.type() == Path.class;
        // null would be read as absent; a colon at the end would start a mapping
        return isText && (!PLAIN.matcher(text).matches() || text.endsWith(":") || text.equalsIgnoreCase("null"))
                ? quoted(text)
                : text;
    }

    /// A double-quoted YAML scalar.
    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        text.chars().forEach(c -> {
            switch (c) {
                case '"', '\\' -> out.append('\\').append((char) c);
                default -> {
                    // surrogates pass as they are: together they are one character
                    boolean control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
                    out.append(control ? "\\u%04x".formatted(c) : String.valueOf((char) c));
                }
            }
        });
        return out.append('"').toString();
    }
}
