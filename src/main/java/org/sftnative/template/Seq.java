package org.sftnative.template;

import java.util.List;

/// Values in order, immutable: a list, or one of the things that Python makes like one.
record Seq(List<Value> items, Kind kind) implements Value {
    enum Kind {
        LIST("list"),
        TUPLE("tuple"),
        GROUP("tuple"),
        RANGE("range"),
        KEYS("dict_keys"),
        VALUES("dict_values"),
        ITEMS("dict_items");

        private final String typeName;

        Kind(String typeName) {
            this.typeName = typeName;
        }

        String typeName() {
            return typeName;
        }

        /// Whether it has an order that can be indexed: a view of a map has none.
        boolean isIndexed() {
            return this == LIST || this == TUPLE || this == GROUP || this == RANGE;
        }

        boolean isTuple() {
            return this == TUPLE || this == GROUP;
        }
    }

    static Seq list(List<Value> items) {
        return new Seq(items, Kind.LIST);
    }

    static Seq tuple(Value... items) {
        return new Seq(List.of(items), Kind.TUPLE);
    }
}
