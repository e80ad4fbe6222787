package org.sftnative.train;

import java.util.List;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;

/// Tells every listener, in order.
record Listeners(List<RunListener> all) implements RunListener {
    @Override
    public void on(RunEvent event) {
        all.forEach(listener -> listener.on(event));
    }
}
