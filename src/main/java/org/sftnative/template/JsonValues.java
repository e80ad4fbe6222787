package org.sftnative.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;

/// JSON as a template's values.
public final class JsonValues {
    private JsonValues() {}

    /// The value of a JSON node: objects keep their order, numbers stay whole or floating as written.
    ///
    /// @throws InputException if a whole number does not fit 64 bits, or it is nested deeper than
    ///     [Value#MAX_NESTING]
    public static Value of(JsonNode node) {
        return of(node, 0);
    }

    private static Value of(JsonNode node, int depth) {
        if (depth > Value.MAX_NESTING) {
            throw new InputException("a row is nested deeper than " + Value.MAX_NESTING + " lists and maps");
        }
        return switch (node.getNodeType()) {
            case ARRAY -> {
                List<Value> items = new ArrayList<>();
                node.forEach(item -> items.add(of(item, depth + 1)));
                yield Value.of(items);
            }
            case OBJECT -> {
                Map<String, Value> entries = new LinkedHashMap<>();
                node.properties().forEach(entry -> entries.put(entry.getKey(), of(entry.getValue(), depth + 1)));
                yield Value.of(entries);
            }
            case STRING -> Value.of(node.stringValue());
            case BOOLEAN -> Value.of(node.booleanValue());
            case NUMBER -> node.isIntegralNumber() ? Value.of(node.bigIntegerValue()) : Value.of(node.doubleValue());
            default -> Value.none();
        };
    }
}
