package org.sftnative.template;

import java.util.HashMap;
import java.util.Map;

/// What `namespace(...)` makes: the one thing that a template can assign to from an inner block.
record Namespace(Map<String, Value> values) implements Value {
    Namespace() {
        this(new HashMap<>());
    }

    @Override
    public boolean equals(Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }
}
