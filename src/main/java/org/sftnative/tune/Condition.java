package org.sftnative.tune;

import java.util.List;
import java.util.Map;

/// What must hold of another setting's value.
///
/// @param setting the other's name
/// @param test `=`: one of `values`; `!=`: none of them; `<`, `<=`, `>`, `>=`: against the one number
/// @param values of the other's type
record Condition(String setting, String test, List<Object> values) {
    /// Whether it holds; not if the setting has no value.
    boolean holds(Map<String, Object> chosen) {
        Object value = chosen.get(setting);
        return value != null && holds(value);
    }

    boolean holds(Object value) {
        return switch (test) {
            case "=" -> values.contains(value);
            case "!=" -> !values.contains(value);
            default -> {
                int order = Double.compare(((Number) value).doubleValue(), ((Number) values.getFirst()).doubleValue());
                yield switch (test) {
                    case "<" -> order < 0;
                    case "<=" -> order <= 0;
                    case ">" -> order > 0;
                    default -> order >= 0;
                };
            }
        };
    }

    /// Whether some value of the domain meets it. A single number out of a continuous range is never drawn.
    boolean possible(Domain domain) {
        return switch (domain) {
            case Domain.Constant(Object value) -> holds(value);
            case Domain.Choice(List<Object> options, boolean _) ->
                options.stream().anyMatch(this::holds);
            case Domain.Real(double _, double _, boolean _, double step)
            when test.equals("=") -> step > 0 && values.stream().anyMatch(domain::contains);
            case Domain.Whole _ when test.equals("=") -> values.stream().anyMatch(domain::contains);
            case Domain.Normal _ -> !test.equals("=");
            case Domain.Real _, Domain.Whole _ -> domain.extremes().stream().anyMatch(this::holds) || test.equals("!=");
        };
    }
}
