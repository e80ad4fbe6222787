package org.sftnative.config;

import java.util.List;

/// One setting as a user gave it, not yet understood.
///
/// @param name as typed, without dashes in front; `-` and `_` are the same in it
/// @param texts the value's text; more than one for a list, none for "absent" (YAML's null)
/// @param origin for error messages: `run.yaml:4`, `--learning-rate`, `default`
public record SettingValue(String name, List<String> texts, String origin) {
    public SettingValue {
        texts = List.copyOf(texts);
    }
}
