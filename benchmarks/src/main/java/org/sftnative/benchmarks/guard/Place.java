package org.sftnative.benchmarks.guard;

import java.util.LinkedHashMap;
import java.util.Map;

/// Where results were measured. Timings of two places are not compared.
///
/// @param card the GPU's name, or the processor's where the CPU computes
/// @param jdk version of the Java runtime
/// @param libtorch version of libtorch and its presets
public record Place(String card, String jdk, String libtorch) {
    /// What differs between two places, `jdk 25.0.1 against 25.0.2`; empty if nothing does.
    public String differences(Place other) {
        Map<String, String[]> fields = new LinkedHashMap<>();
        fields.put("card", new String[] {card, other.card});
        fields.put("jdk", new String[] {jdk, other.jdk});
        fields.put("libtorch", new String[] {libtorch, other.libtorch});
        StringBuilder text = new StringBuilder();
        fields.forEach((name, values) -> {
            if (!values[0].equals(values[1])) {
                text.append(text.isEmpty() ? "" : ", ")
                        .append(name)
                        .append(' ')
                        .append(values[0])
                        .append(" against ")
                        .append(values[1]);
            }
        });
        return text.toString();
    }

    /// The name of this place's file of baselines: `nvidia-h100-80gb-hbm3-25.0.1-2.10.0-1.5.13.jsonl`.
    public String fileName() {
        return (card + "-" + jdk + "-" + libtorch).toLowerCase().replaceAll("[^a-z0-9.]+", "-") + ".jsonl";
    }
}
