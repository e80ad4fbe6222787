package org.sftnative.train;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.sftnative.config.PrecisionChoice;

/// What a run must have in common with the one that it goes on from: another value of any of these would train
/// other steps than the ones that were to come.
///
/// @param rows training rows after dropping, with a hash of them
/// @param stepOf what an optimizer step is made of: rows, packed sequences, tokens
/// @param order what else decides the order of an epoch: shuffling, combination, mixed sets
/// @param seed of the order
/// @param totalSteps steps that the schedule was made for
/// @param precision of weights and arithmetic
/// @param trained all weights, or adapters over which frozen ones
record RunIdentity(
        String rows,
        String stepOf,
        String order,
        long seed,
        long totalSteps,
        PrecisionChoice precision,
        String trained) {
    /// What differs, a line each with both values; empty if nothing does.
    String differences(RunIdentity other) {
        Map<String, Object> theirs = other.byName();
        return byName().entrySet().stream()
                .filter(e -> !e.getValue().equals(theirs.get(e.getKey())))
                .map(e -> "\n  " + e.getKey() + ": " + e.getValue() + " there, " + theirs.get(e.getKey()) + " here")
                .collect(Collectors.joining());
    }

    private Map<String, Object> byName() {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("rows", rows);
        values.put("step of", stepOf);
        values.put("order", order);
        values.put("seed", seed);
        values.put("steps of the whole run", totalSteps);
        values.put("precision", precision);
        values.put("trained", trained);
        return values;
    }
}
