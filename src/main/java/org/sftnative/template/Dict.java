package org.sftnative.template;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A map in the order of insertion, immutable. Keys are equal as in Python: 1, 1.0 and True are one key.
final class Dict implements Value {
    private final Map<Object, Entry> entries;

    private Dict(Map<Object, Entry> entries) {
        this.entries = entries;
    }

    record Entry(Value key, Value value) {}

    Collection<Entry> entries() {
        return entries.values();
    }

    int size() {
        return entries.size();
    }

    /// @throws TemplateFault if no value of the key's type can be a key
    Optional<Value> find(Value key) {
        return Optional.ofNullable(entries.get(hashed(key, 0))).map(Entry::value);
    }

    Optional<Value> find(String key) {
        return Optional.ofNullable(entries.get(key)).map(Entry::value);
    }

    List<Value> keys() {
        return entries().stream().map(Entry::key).toList();
    }

    List<Value> values() {
        return entries().stream().map(Entry::value).toList();
    }

    List<Value> items() {
        return entries().stream().<Value>map(e -> Seq.tuple(e.key(), e.value())).toList();
    }

    /// A Java object that is equal exactly when the values are.
    static Object hashed(Value key, int depth) {
        return switch (key) {
            case Str s -> s.text();
            case Bool b -> b.value() ? 1L : 0L;
            case Int i -> i.value();
            case Real r when r.value() == Math.rint(r.value()) && Math.abs(r.value()) < 0x1p63 -> (long) r.value();
            case Real r -> r.value();
            case None n -> n;
            case Seq seq
            when seq.kind().isTuple() && depth < 20 -> {
                List<Object> parts = new ArrayList<>();
                for (Value item : seq.items()) {
                    parts.add(hashed(item, depth + 1));
                }
                yield parts;
            }
            default -> throw new TemplateFault("unhashable type: '" + key.typeName() + "' cannot be a key");
        };
    }

    /// A later entry replaces the value of an earlier one with an equal key, in the earlier one's place.
    static final class Builder {
        private final Map<Object, Entry> made = new LinkedHashMap<>();

        Builder put(Value key, Value value) {
            Object hashed = hashed(key, 0);
            Entry before = made.get(hashed);
            made.put(hashed, new Entry(before == null ? key : before.key(), value));
            return this;
        }

        Dict build() {
            return new Dict(made);
        }
    }
}
