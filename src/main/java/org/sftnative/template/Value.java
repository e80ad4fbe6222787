package org.sftnative.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.sftnative.InputException;

/// A value that a template can see. The set is closed and holds no Java objects. All are immutable but a
/// template's own namespaces, cyclers and iterators.
public sealed interface Value
        permits Value.Undefined,
                Value.None,
                Value.Bool,
                Value.Int,
                Value.Real,
                Str,
                Seq,
                Dict,
                Stream,
                Namespace,
                Callable {

    /// How deep lists and maps of a row may be nested.
    int MAX_NESTING = 500;

    /// What a name or key without a value gives: prints as nothing, is false and empty, and fails in
    /// arithmetic.
    ///
    /// @param what what was looked for, for the message of a failure
    record Undefined(String what) implements Value {}

    /// Python's `None`, JSON's `null`.
    record None() implements Value {}

    /// `True` or `False`; in arithmetic 1 or 0, as in Python.
    record Bool(boolean value) implements Value {}

    /// A whole number of 64 bits. Results beyond are errors, never wrapped.
    record Int(long value) implements Value {}

    /// A floating-point number.
    record Real(double value) implements Value {}

    /// A text that is not from a row, such as `bos_token`.
    static Value of(String text) {
        return new Str(text, Marks.TEMPLATE, false);
    }

    /// A whole number.
    static Value of(long number) {
        return new Int(number);
    }

    /// A whole number of any size.
    ///
    /// @throws InputException if it does not fit 64 bits
    static Value of(BigInteger number) {
        if (number.bitLength() > 63) {
            throw new InputException("a chat template cannot take the whole number " + Shown.of(number.toString())
                    + ": it does not fit 64 bits\n  write it as a string");
        }
        return new Int(number.longValue());
    }

    /// A floating-point number.
    static Value of(double number) {
        return new Real(number);
    }

    /// True or false.
    static Value of(boolean truth) {
        return new Bool(truth);
    }

    /// Nothing: what JSON's `null` becomes.
    static Value none() {
        return new None();
    }

    /// A list of these items.
    static Value of(List<Value> items) {
        return new Seq(List.copyOf(items), Seq.Kind.LIST);
    }

    /// A map in the order of `entries`. Its keys count as text of the row once the map is passed as one.
    static Value of(Map<String, Value> entries) {
        Dict.Builder made = new Dict.Builder();
        entries.forEach((key, value) -> made.put(new Str(key, Marks.TEMPLATE, false), value));
        return made.build();
    }

    /// The same value with every character of every string in it, keys included, marked as text of a row.
    ///
    /// @throws InputException if it is nested deeper than [#MAX_NESTING]
    static Value fromRow(Value value) {
        return fromRow(value, 0);
    }

    private static Value fromRow(Value value, int depth) {
        if (depth > MAX_NESTING) {
            throw new InputException("a row is nested deeper than " + MAX_NESTING + " lists and maps");
        }
        return switch (value) {
            case Str s -> new Str(s.text(), Marks.ROW, false);
            case Seq seq -> {
                List<Value> items = new ArrayList<>(seq.items().size());
                for (Value item : seq.items()) {
                    items.add(fromRow(item, depth + 1));
                }
                yield new Seq(items, seq.kind());
            }
            case Dict dict -> {
                Dict.Builder made = new Dict.Builder();
                for (Dict.Entry entry : dict.entries()) {
                    made.put(fromRow(entry.key(), depth + 1), fromRow(entry.value(), depth + 1));
                }
                yield made.build();
            }
            default -> value;
        };
    }

    /// Python's name of this value's type, for messages.
    default String typeName() {
        return switch (this) {
            case Undefined _ -> "undefined";
            case None _ -> "None";
            case Bool _ -> "bool";
            case Int _ -> "int";
            case Real _ -> "float";
            case Str _ -> "str";
            case Seq seq -> seq.kind().typeName();
            case Dict _ -> "dict";
            case Stream _ -> "iterator";
            case Namespace _ -> "namespace";
            case Callable _ -> "function";
        };
    }
}
