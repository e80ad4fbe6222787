package org.sftnative.cli;

import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// Arguments as people type them, made ready for picocli.
final class Arguments {
    private static final Pattern FLAG = Pattern.compile("(--[A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", Pattern.DOTALL);
    private static final Pattern SHORT_FLAG_OR_NUMBER = Pattern.compile("-[A-Za-z]+|-[0-9.][0-9.eE+-]*|--?");

    /// picocli takes every text that starts with a dash for an option, `--prompt=--x` and "- a list" too. A value
    /// travels through it behind this letter of no alphabet.
    private static final String MARK = "\uE000";

    private Arguments() {}

    /// `--learning_rate`, as transformers' scripts take it, becomes `--learning-rate`; values that start with a dash
    /// are marked.
    ///
    /// @throws InputException if the locale has lost letters of an argument: a path would silently be another
    static List<String> prepare(String... args) {
        List<String> prepared = new ArrayList<>();
        for (String arg : args) {
            if (arg.indexOf('\uFFFD') >= 0) {
                throw new InputException("argument '" + arg + "' has letters that this locale ("
                        + Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8"))
                        + ") cannot read\n  set LC_ALL=C.UTF-8");
            }
            Matcher flag = FLAG.matcher(arg);
            if (flag.matches()) {
                String value = flag.group(2);
                prepared.add(flag.group(1).replace('_', '-') + (value == null ? "" : "=" + marked(value)));
            } else {
                prepared.add(SHORT_FLAG_OR_NUMBER.matcher(arg).matches() ? arg : marked(arg));
            }
        }
        return prepared;
    }

    /// A value as it was typed.
    static String value(String fromPicocli) {
        return fromPicocli.startsWith(MARK) ? fromPicocli.substring(1) : fromPicocli;
    }

    /// The flag among `names`, or its negation, that occurs in prepared arguments.
    static Optional<String> typed(List<String> prepared, String... names) {
        return prepared.stream()
                .map(arg -> arg.split("=", 2)[0])
                .filter(arg -> Arrays.asList(names).contains(arg.replaceFirst("^--no-", "--"))
                        || Arrays.asList(names).contains(arg))
                .findFirst();
    }

    /// Whether a flag has a `true` or `false` of its own.
    static boolean hasTruthValue(List<String> prepared, String flag) {
        int at = prepared.indexOf(flag);
        return at < 0 || (at + 1 < prepared.size() && prepared.get(at + 1).matches("(?i)true|false"));
    }

    private static String marked(String value) {
        return value.startsWith("-") || value.startsWith(MARK) ? MARK + value : value;
    }
}
