package org.sftnative.template;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/// What a template names, so that a filter, test, method or function that does not exist is an error when
/// the template is parsed, and not a surprise in row 40,000.
final class Names {
    /// Filters and tests whose first argument names another one.
    private static final Set<String> TAKES_FILTER = Set.of("map");
    private static final Set<String> TAKES_TEST = Set.of("select", "reject");
    private static final Set<String> TAKES_ATTRIBUTE_AND_TEST = Set.of("selectattr", "rejectattr");
    private static final Set<String> SET_BY_MACROS = Set.of("caller");

    private record CallOf(String name, int line) {}

    private final Set<String> bound = new HashSet<>();
    private final Deque<Set<String>> readers = new ArrayDeque<>();
    private final List<CallOf> functions = new ArrayList<>();
    private final List<CallOf> methods = new ArrayList<>();
    private boolean assignsMembers;

    void read(String name) {
        readers.forEach(reader -> reader.add(name));
    }

    void bind(String name) {
        bound.add(name);
    }

    /// A namespace member is assigned: it may be a macro, so that calls of its name are no unknown methods.
    void bindMember(String name) {
        assignsMembers = true;
        bound.add(name);
    }

    /// From here to [#stopReading]: which names a macro reads.
    void startReading() {
        readers.push(new HashSet<>());
    }

    Set<String> stopReading() {
        return readers.pop();
    }

    void checkCall(Expr function, Expr.Arguments arguments, int line) {
        switch (function) {
            case Expr.Name name -> functions.add(new CallOf(name.name(), line));
            case Expr.Attribute attribute -> methods.add(new CallOf(attribute.name(), line));
            default -> {}
        }
        if (function instanceof Expr.Name name
                && (name.name().equals("namespace") || name.name().equals("dict"))) {
            arguments.named().forEach(argument -> bound.add(argument.name()));
        }
    }

    void checkFilter(String name, Expr.Arguments arguments, int line) {
        if (!Filters.NAMES.contains(name)) {
            throw new LineFault("unknown filter '" + Shown.of(name) + "'\n  known: " + list(Filters.NAMES), line);
        }
        if (TAKES_FILTER.contains(name)) {
            checkNamed(arguments, 0, line, true);
        } else if (TAKES_TEST.contains(name)) {
            checkNamed(arguments, 0, line, false);
        } else if (TAKES_ATTRIBUTE_AND_TEST.contains(name)) {
            checkNamed(arguments, 1, line, false);
        }
    }

    private void checkNamed(Expr.Arguments arguments, int place, int line, boolean filter) {
        if (arguments.positional().size() > place
                && arguments.positional().get(place) instanceof Expr.Const(Str name, int _)) {
            if (filter) {
                checkFilter(name.text(), Expr.Arguments.NONE, line);
            } else {
                checkTest(name.text(), line);
            }
        }
    }

    void checkTest(String name, int line) {
        if (!Tests.NAMES.contains(name)) {
            throw new LineFault("unknown test '" + Shown.of(name) + "'\n  known: " + list(Tests.NAMES), line);
        }
    }

    /// When all is read: every function that is called by name exists.
    void checkCalls() {
        for (CallOf call : functions) {
            if (!bound.contains(call.name())
                    && !SET_BY_MACROS.contains(call.name())
                    && !call.name().equals("loop")
                    && Callable.Function.named(call.name()).isEmpty()) {
                throw new LineFault("unknown function '" + Shown.of(call.name()) + "'", call.line());
            }
        }
        for (CallOf call : methods) {
            if (!Methods.NAMES.contains(call.name()) && !bound.contains(call.name()) && !assignsMembers) {
                throw new LineFault("unknown method '" + Shown.of(call.name()) + "'", call.line());
            }
        }
    }

    private static String list(Set<String> names) {
        return String.join(", ", new TreeSet<>(names));
    }
}
