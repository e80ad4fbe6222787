package org.sftnative.web;

import java.util.HashSet;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Predicate;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The fields of a JSON object, each asked for by its name and type; what nobody asked for is refused. `null` is as
/// good as absent, as in OpenAI's interface.
final class Fields {
    private final ObjectNode object;
    private final String path;
    private final Set<String> known = new HashSet<>();

    /// @param path of the object in the request: empty, or `messages[0].`
    Fields(ObjectNode object, String path) {
        this.object = object;
        this.path = path;
    }

    Optional<JsonNode> any(String name) {
        known.add(name);
        JsonNode node = object.get(name);
        return node == null || node.isNull() ? Optional.empty() : Optional.of(node);
    }

    Optional<String> text(String name) {
        return any(name).map(node -> text(path + name, node));
    }

    /// The text of a node, which must be one.
    static String text(String param, JsonNode node) {
        if (!node.isString()) {
            throw wrong(param, "a string", node);
        }
        String text = node.stringValue();
        for (int i = 0; i < text.length(); i++) {
            if (Character.isHighSurrogate(text.charAt(i))
                    && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(text.charAt(i))) {
                throw ApiException.field(param, "invalid_utf8", "'" + param + "' holds half a surrogate pair");
            }
        }
        return text;
    }

    boolean flag(String name) {
        return any(name)
                .map(node -> {
                    if (!node.isBoolean()) {
                        throw wrong(path + name, "true or false", node);
                    }
                    return node.booleanValue();
                })
                .orElse(false);
    }

    OptionalDouble number(String name, double least, double most) {
        Optional<JsonNode> node = any(name);
        if (node.isEmpty()) {
            return OptionalDouble.empty();
        }
        String range = "a number from " + short_(least) + " to " + short_(most);
        if (!node.get().isNumber()) {
            throw wrong(path + name, range, node.get());
        }
        double value = node.get().doubleValue();
        if (!(value >= least && value <= most)) {
            throw wrong(path + name, range, node.get());
        }
        return OptionalDouble.of(value);
    }

    OptionalLong whole(String name, long least, long most) {
        Optional<JsonNode> node = any(name);
        if (node.isEmpty()) {
            return OptionalLong.empty();
        }
        if (!node.get().isIntegralNumber()
                || !node.get().canConvertToLong()
                || node.get().longValue() < least
                || node.get().longValue() > most) {
            throw wrong(path + name, "a whole number from " + least + " to " + most, node.get());
        }
        return OptionalLong.of(node.get().longValue());
    }

    /// A field that is taken in its neutral value only.
    void unsupported(String name, Predicate<JsonNode> neutral, String why) {
        any(name).filter(neutral.negate()).ifPresent(_ -> {
            throw ApiException.field(
                    path + name, "unsupported_parameter", "'" + path + name + "' is not supported here" + why);
        });
    }

    /// Refuses what was not asked for.
    void refuseOthers() {
        for (String name : object.propertyNames()) {
            if (!known.contains(name)) {
                throw ApiException.field(
                        path + Shown.of(name),
                        "unknown_parameter",
                        "Unknown parameter: '" + path + Shown.of(name) + "'");
            }
        }
    }

    static ApiException wrong(String param, String wanted, JsonNode found) {
        return ApiException.field(
                param, "'" + param + "' must be " + wanted + ", and is " + Shown.of(found.toString()));
    }

    private static String short_(double value) {
        return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
    }
}
