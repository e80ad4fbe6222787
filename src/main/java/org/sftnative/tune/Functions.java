package org.sftnative.tune;

import java.math.BigDecimal;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import org.sftnative.InputException;
import org.sftnative.config.SettingsField;
import org.sftnative.config.Suggestion;

/// The words of a search space, which are Ray Tune's.
enum Functions {
    UNIFORM("low, high"),
    LOGUNIFORM("low, high"),
    QUNIFORM("low, high, step"),
    QLOGUNIFORM("low, high, step"),
    RANDINT("low, high (not included)"),
    LOGRANDINT("low, high (not included)"),
    QRANDINT("low, high, step"),
    QLOGRANDINT("low, high, step"),
    RANDN("mean, deviation"),
    QRANDN("mean, deviation, step"),
    CHOICE("[value, value]"),
    GRID_SEARCH("[value, value]");

    private final String parameters;

    Functions(String parameters) {
        this.parameters = parameters;
    }

    static Optional<Functions> named(String name) {
        return Arrays.stream(values()).filter(f -> f.word().equals(name)).findFirst();
    }

    /// Says what a word that is none of these may have meant.
    static String hint(String word) {
        List<String> words = Arrays.stream(values()).map(Functions::word).toList();
        return Suggestion.nearest(word, words)
                .map(near -> "did you mean '" + near + "'?")
                .orElse("there are " + String.join(", ", words));
    }

    String word() {
        return name().toLowerCase(Locale.ROOT);
    }

    boolean takesValues() {
        return this == CHOICE || this == GRID_SEARCH;
    }

    /// @param values what stands in the brackets, already of the setting's type
    /// @param fault what to throw, given what is wrong
    Domain choice(List<Object> values, Function<String, InputException> fault) {
        if (values.isEmpty()) {
            throw fault.apply(word() + " has no values");
        }
        for (Object value : values) {
            if (values.indexOf(value) != values.lastIndexOf(value)) {
                throw fault.apply(word() + " has " + value + " twice");
            }
        }
        return new Domain.Choice(List.copyOf(values), this == GRID_SEARCH);
    }

    /// @param texts what stands between the parentheses
    /// @param field the setting that is to have the value
    /// @param fault what to throw, given what is wrong
    Domain range(List<String> texts, SettingsField field, Function<String, InputException> fault) {
        boolean quantized = name().startsWith("Q");
        boolean whole = name().endsWith("INT");
        boolean log = name().contains("LOG");
        boolean normal = name().endsWith("RANDN");
        int wanted = quantized ? 3 : 2;
        List<String> given = normal && !quantized && texts.isEmpty() ? List.of("0", "1") : texts;
        if (given.size() != wanted) {
            throw fault.apply(word() + " takes " + wanted + " values, not " + given.size() + ": " + word() + "("
                    + parameters + ")");
        }
        double[] x = given.stream().mapToDouble(text -> number(text, fault)).toArray();
        double step = quantized ? x[2] : 0;
        if (quantized && step <= 0) {
            throw fault.apply("the step of " + word() + " is " + texts.get(2) + ", must be above 0");
        }
        boolean allWhole = Arrays.stream(x).allMatch(d -> d == Math.rint(d) && Math.abs(d) < 1L << 53);
        if (whole && !allWhole) {
            throw fault.apply(word() + " takes whole numbers, not " + String.join(", ", given));
        }
        boolean wholeField = field.type() == Integer.class || field.type() == Long.class;
        if (!wholeField && field.type() != Double.class) {
            throw fault.apply(word() + " gives numbers, and '" + field.name() + "' is none\n  write choice([...])");
        }
        if (wholeField && !whole && (normal || !quantized || !allWhole)) {
            throw fault.apply(word() + " gives fractions, and '" + field.name()
                    + "' is a whole number\n  write randint, lograndint, qrandint or choice");
        }
        if (quantized && (Math.abs(x[0]) + Math.abs(x[1])) / step > 1e15) { // multiples that a double tells apart
            throw fault.apply("the step of " + word() + ", " + given.get(2) + ", is too small beside its values");
        }
        if (normal) {
            if (x[1] <= 0) {
                throw fault.apply("the deviation of " + word() + " is " + given.get(1) + ", must be above 0");
            }
            return new Domain.Normal(x[0], x[1], step);
        }
        double high = whole && !quantized ? x[1] - 1 : x[1];
        if (log && x[0] <= 0) {
            throw fault.apply("the range of " + word() + " is from " + given.get(0) + ", and a logarithm has no "
                    + (x[0] == 0 ? "0" : "value at or below 0") + "\n  start above 0, such as at 1e-6");
        }
        if (x[0] > high || (x[0] == high && !whole)) {
            throw fault.apply("the range of " + word() + " is empty: from " + given.get(0) + " to " + given.get(1)
                    + (whole && !quantized ? ", which is not included" : ""));
        }
        if (quantized && !(divides(given.get(0), given.get(2)) && divides(given.get(1), given.get(2)))) {
            throw fault.apply("the ends of " + word() + ", " + given.get(0) + " and " + given.get(1)
                    + ", must be multiples of its step " + given.get(2));
        }
        if (whole || wholeField) {
            Domain.Whole domain = new Domain.Whole((long) x[0], (long) high, log, quantized ? (long) step : 1);
            return wholeField ? domain : new Domain.Real(x[0], high, log, quantized ? step : 1);
        }
        return new Domain.Real(x[0], high, log, step);
    }

    private static boolean divides(String end, String step) {
        return new BigDecimal(end).remainder(new BigDecimal(step)).signum() == 0;
    }

    private double number(String text, Function<String, InputException> fault) {
        if (!text.matches("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?")
                || Double.isInfinite(Double.parseDouble(text))) {
            throw fault.apply(word() + " takes numbers, not '" + text + "': " + word() + "(" + parameters + ")");
        }
        return Double.parseDouble(text);
    }
}
