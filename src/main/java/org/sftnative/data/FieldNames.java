package org.sftnative.data;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.config.Suggestion;
import tools.jackson.databind.node.ObjectNode;

/// `--field output=response`: the rows' names for a format's.
///
/// @param source the rows' name by the format's
record FieldNames(Map<String, String> source) {
    /// Names of turns and not of rows.
    private static final List<String> OF_TURNS = List.of("role", "content", "from", "value");

    /// @throws InputException if one is no `NAME=NAME`, names nothing of any format, or is given twice
    static FieldNames of(List<String> settings) {
        List<String> known = RowFormat.ALL.stream()
                .flatMap(format -> format.names().stream())
                .distinct()
                .toList();
        Map<String, String> source = new LinkedHashMap<>();
        for (String setting : settings) {
            int equals = setting.indexOf('=');
            if (equals < 1 || equals == setting.length() - 1) {
                throw new InputException("field '" + setting + "' is no pair of names"
                        + "\n  write the format's name first: --field output=response");
            }
            String target = setting.substring(0, equals);
            check(target, setting, known, "no format has a field");
            if (source.put(target, setting.substring(equals + 1)) != null) {
                throw new InputException("field '" + target + "' is given twice\n  keep one of them");
            }
        }
        return new FieldNames(source);
    }

    /// @throws InputException if one of the names means nothing to this format
    void check(RowFormat format) {
        source.forEach((target, from) -> check(
                target, target + "=" + from, format.names(), "rows of format " + format.choice() + " have no field"));
    }

    private static void check(String target, String setting, List<String> known, String what) {
        if (!known.contains(target)) {
            throw new InputException("field '" + setting + "': " + what + " '" + target + "'\n  "
                    + Suggestion.nearest(target, known)
                            .map(name -> "did you mean '" + name + "'?")
                            .orElse("the format's name comes first, and is one of " + String.join(", ", known)));
        }
    }

    /// The format with the rows' names of what a turn has.
    RowFormat renamed(RowFormat format) {
        return switch (format) {
            case RowFormat.Chat _ -> new RowFormat.Chat(source("role"), source("content"));
            case RowFormat.ShareGpt _ -> new RowFormat.ShareGpt(source("from"), source("value"));
            default -> format;
        };
    }

    /// The rows' name of what a turn has.
    String renamed(String target) {
        return source(target);
    }

    private String source(String target) {
        return source.getOrDefault(target, target);
    }

    /// The row under the format's names; a name that is not in the row changes nothing.
    Row renamed(Row row) {
        if (Stream.of(source.keySet()).allMatch(OF_TURNS::containsAll)) {
            return row;
        }
        ObjectNode fields = row.fields().deepCopy();
        source.forEach((target, from) -> {
            if (!OF_TURNS.contains(target) && row.fields().has(from)) {
                fields.set(target, row.fields().get(from));
                if (!source.containsKey(from)) {
                    fields.remove(from);
                }
            }
        });
        return new Row(row.file(), row.number(), fields);
    }
}
