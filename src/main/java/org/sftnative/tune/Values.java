package org.sftnative.tune;

import java.util.List;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsField;
import org.sftnative.config.SettingsSchema;

/// Values of settings as plain objects: Boolean, Long, Double, String, or List of these.
final class Values {
    private Values() {}

    /// @throws org.sftnative.InputException if a text is not of the setting's type
    static Object of(SettingsSchema<RunSettings> schema, SettingsField field, List<String> texts, String origin) {
        schema.resolve(List.of(new SettingValue(field.name(), texts, origin))); // checks the type
        List<Object> values =
                texts.stream().map(text -> element(field.type(), text)).toList();
        return field.shape() == SettingsField.Shape.LIST ? values : values.getFirst();
    }

    /// A value that went through storage: a number has become another class of number there.
    static Object canonical(SettingsField field, Object value) {
        return switch (value) {
            case List<?> list ->
                list.stream().map(element -> canonical(field, element)).toList();
            case Number number when field.type() == Double.class -> number.doubleValue();
            case Number number when field.type() == Integer.class || field.type() == Long.class -> number.longValue();
            case Boolean _ when field.type() == Boolean.class -> value;
            default -> value.toString();
        };
    }

    /// As a settings file has it.
    static List<String> texts(Object value) {
        return value instanceof List<?> list
                ? list.stream().map(Object::toString).toList()
                : List.of(value.toString());
    }

    private static Object element(Class<?> type, String text) {
        if (type == Boolean.class) {
            return Boolean.valueOf(text);
        } else if (type == Double.class) {
            return Double.valueOf(text);
        }
        return type == Integer.class || type == Long.class ? (Object) Long.valueOf(text) : text;
    }
}
