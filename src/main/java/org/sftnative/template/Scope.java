package org.sftnative.template;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/// Names of one block, seen from inside it. Assignments stay in the block: an outer name is hidden, not
/// changed.
final class Scope {
    private final Optional<Scope> outer;
    private final Map<String, Value> names = new HashMap<>(4);

    Scope() {
        this.outer = Optional.empty();
    }

    Scope(Scope outer) {
        this.outer = Optional.of(outer);
    }

    void set(String name, Value value) {
        names.put(name, value);
    }

    Optional<Value> find(String name) {
        Scope scope = this;
        while (true) {
            Value value = scope.names.get(name);
            if (value != null) {
                return Optional.of(value);
            }
            if (scope.outer.isEmpty()) {
                return Optional.empty();
            }
            scope = scope.outer.get();
        }
    }
}
