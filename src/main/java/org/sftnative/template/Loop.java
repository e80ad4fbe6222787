package org.sftnative.template;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;

/// The `loop` of a for block. Items are pulled one by one, ahead only as far as a template asks: a filter's
/// condition sees what the body before it did.
final class Loop implements Callable {
    private final Iterator<Value> source;
    private final Deque<Value> ahead = new ArrayDeque<>();
    private final Stmt.For block;
    private final Scope scope;
    private final int depth;
    private int index = -1;
    private Optional<Value> current = Optional.empty();
    private Optional<Value> previous = Optional.empty();
    private Optional<List<Value>> lastChanged = Optional.empty();

    Loop(Iterator<Value> source, Stmt.For block, Scope scope, int depth) {
        this.source = source;
        this.block = block;
        this.scope = scope;
        this.depth = depth;
    }

    Stmt.For block() {
        return block;
    }

    /// The scope around the block, where a recursive call goes on.
    Scope scope() {
        return scope;
    }

    int depth() {
        return depth;
    }

    boolean advance() {
        Optional<Value> next = peek();
        if (next.isEmpty()) {
            return false;
        }
        ahead.removeFirst();
        previous = current;
        current = next;
        index++;
        return true;
    }

    Value item() {
        return current.orElseThrow();
    }

    private Optional<Value> peek() {
        if (ahead.isEmpty() && source.hasNext()) {
            ahead.add(source.next());
        }
        return Optional.ofNullable(ahead.peekFirst());
    }

    private long length() {
        while (source.hasNext()) {
            ahead.add(source.next());
        }
        return index + 1L + ahead.size();
    }

    Optional<Value> attribute(String name) {
        return Optional.ofNullable(
                switch (name) {
                    case "index" -> new Int(index + 1L);
                    case "index0" -> new Int(index);
                    case "revindex" -> new Int(length() - index);
                    case "revindex0" -> new Int(length() - index - 1);
                    case "first" -> new Bool(index == 0);
                    case "last" -> new Bool(peek().isEmpty());
                    case "length" -> new Int(length());
                    case "depth" -> new Int(depth + 1L);
                    case "depth0" -> new Int(depth);
                    case "previtem" -> previous.orElseGet(() -> new Undefined("there is no previous item"));
                    case "nextitem" -> peek().orElseGet(() -> new Undefined("there is no next item"));
                    case "cycle", "changed" -> new LoopMethod(this, name);
                    default -> null;
                });
    }

    Value cycle(List<Value> values) {
        if (values.isEmpty()) {
            throw new TemplateFault("no items for cycling given");
        }
        return values.get(index % values.size());
    }

    boolean changed(List<Value> values, Budget budget) {
        boolean same =
                lastChanged.isPresent() && Operators.equal(Seq.list(lastChanged.get()), Seq.list(values), budget);
        lastChanged = Optional.of(values);
        return !same;
    }
}
