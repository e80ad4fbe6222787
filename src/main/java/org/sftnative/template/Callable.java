package org.sftnative.template;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// A value that can be called.
sealed interface Callable extends Value
        permits Callable.Function,
                Callable.Method,
                Callable.Macro,
                Callable.Cycler,
                Callable.Joiner,
                Loop,
                Callable.LoopMethod {

    /// The functions that every template has.
    enum Function implements Callable {
        RANGE,
        DICT,
        NAMESPACE,
        CYCLER,
        JOINER,
        RAISE_EXCEPTION,
        STRFTIME_NOW;

        String spelling() {
            return name().toLowerCase(java.util.Locale.ROOT);
        }

        static Optional<Function> named(String name) {
            return Arrays.stream(values())
                    .filter(f -> f.spelling().equals(name))
                    .findFirst();
        }
    }

    /// A method of a string, list, map or cycler, with what it belongs to.
    record Method(Value self, String name) implements Callable {}

    /// `loop.cycle` and `loop.changed`.
    record LoopMethod(Loop loop, String name) implements Callable {}

    /// A macro with the scope that it was written in.
    record Macro(Stmt.MacroDef definition, Scope scope) implements Callable {}

    /// What `cycler(...)` makes.
    final class Cycler implements Callable {
        private final List<Value> items;
        private int at;

        Cycler(List<Value> items) {
            this.items = items;
        }

        Value current() {
            return items.get(at);
        }

        Value next() {
            Value now = current();
            at = (at + 1) % items.size();
            return now;
        }

        void reset() {
            at = 0;
        }
    }

    /// What `joiner(...)` makes: empty on the first call, the separator afterwards.
    final class Joiner implements Callable {
        private final Value separator;
        private boolean used;

        Joiner(Value separator) {
            this.separator = separator;
        }

        Value call() {
            if (used) {
                return separator;
            }
            used = true;
            return Str.EMPTY;
        }
    }
}
