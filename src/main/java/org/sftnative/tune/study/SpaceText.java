package org.sftnative.tune.study;

import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;

/// A search space's entries as a person wrote them, for messages that show two of them.
final class SpaceText {
    private SpaceText() {}

    /// @param yaml a space that [org.sftnative.tune.SearchSpace] takes
    static SortedMap<String, String> entries(String yaml) {
        SortedMap<String, String> entries = new TreeMap<>();
        Object root = new Load(LoadSettings.builder().build()).loadFromString(yaml);
        if (root instanceof Map<?, ?> map) {
            map.forEach((name, value) -> entries.put(name.toString(), String.valueOf(value)));
        }
        return entries;
    }
}
