package org.sftnative.train;

import org.sftnative.metrics.RunEvent;

/// A loop's surroundings that neither evaluate nor save, and are asked for neither.
class NoHooks implements TrainLoop.Hooks {
    @Override
    public RunEvent.Evaluated evaluate(RunState state) {
        throw new AssertionError();
    }

    @Override
    public boolean evaluates() {
        return false;
    }

    @Override
    public void save(RunState state) {
        throw new AssertionError();
    }

    @Override
    public RunControl.Request request() {
        return RunControl.Request.NONE;
    }
}
