package org.sftnative.template;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The arguments of a call.
record Args(List<Value> positional, Map<String, Value> named) {
    static final Args NONE = new Args(List.of(), Map.of());

    /// Arguments in the order of a function's parameters.
    static final class Bound {
        private final String function;
        private final List<String> names;
        private final List<Optional<Value>> values;

        private Bound(String function, List<String> names, List<Optional<Value>> values) {
            this.function = function;
            this.names = names;
            this.values = values;
        }

        Optional<Value> find(int i) {
            return values.get(i);
        }

        Value get(int i) {
            return find(i).orElseThrow(
                            () -> new TemplateFault(function + " needs the argument '" + names.get(i) + "'"));
        }

        Value get(int i, Value fallback) {
            return find(i).orElse(fallback);
        }

        boolean truth(int i) {
            return find(i).map(Operators::truth).orElse(false);
        }

        long whole(int i, long fallback) {
            return find(i).map(Numbers::whole).orElse(fallback);
        }

        /// A string, as the functions of Python that take nothing else.
        Str str(int i) {
            return string(get(i));
        }

        Optional<Str> findStr(int i) {
            return find(i).filter(v -> !(v instanceof Value.None)).map(this::string);
        }

        private Str string(Value v) {
            if (v instanceof Str s) {
                return s;
            }
            Operators.defined(v);
            throw new TemplateFault(function + " takes a string, not " + v.typeName());
        }
    }

    /// @throws TemplateFault on more arguments than parameters, or names that are none
    Bound bind(String function, String... parameters) {
        if (positional.size() > parameters.length) {
            throw new TemplateFault(
                    function + " takes at most " + parameters.length + " arguments, not " + positional.size());
        }
        List<Optional<Value>> values = new ArrayList<>();
        Map<String, Value> left = new LinkedHashMap<>(named);
        for (int i = 0; i < parameters.length; i++) {
            if (i < positional.size()) {
                values.add(Optional.of(positional.get(i)));
            } else {
                values.add(Optional.ofNullable(left.remove(parameters[i])));
            }
        }
        if (!left.isEmpty()) {
            throw new TemplateFault(function + " has no argument '"
                    + Shown.of(left.keySet().iterator().next()) + "' left");
        }
        return new Bound(function, Arrays.asList(parameters), values);
    }

    /// Positional arguments alone, as Python's own methods take them.
    Bound bindPositional(String function, String... parameters) {
        if (!named.isEmpty()) {
            throw new TemplateFault(function + " takes no keyword arguments");
        }
        return bind(function, parameters);
    }

    /// Without the first `count` positional ones.
    Args after(int count) {
        return new Args(positional.subList(Math.min(count, positional.size()), positional.size()), named);
    }

    void none(String function) {
        bind(function);
    }
}
