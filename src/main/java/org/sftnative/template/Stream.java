package org.sftnative.template;

import java.util.Iterator;
import java.util.List;

/// What a Python generator is to a template: goes past once, has no length and no index.
final class Stream implements Value, Iterator<Value> {
    private final List<Value> items;
    private int at;

    Stream(List<Value> items) {
        this.items = items;
    }

    @Override
    public boolean hasNext() {
        return at < items.size();
    }

    @Override
    public Value next() {
        return items.get(at++);
    }
}
