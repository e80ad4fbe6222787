package org.sftnative.config;

import java.util.Map;

/// One value for each setting that has one, after the layers are merged: each with where it came from.
///
/// @param values in the schema's order; a required setting that was not given is not in it
public record ResolvedSettings(Map<SettingsField, SettingValue> values) {}
