package org.sftnative.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.sftnative.config.EvalSettings;
import org.sftnative.config.GenerateSettings;
import org.sftnative.config.InitSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.metrics.RunListener;

/// The work, done by the rooms.
final class Rooms implements Work {
    @Override
    public void train(RunSettings settings, List<RunListener> listeners) {
        throw new UnsupportedOperationException("train is not in this build");
    }

    @Override
    public Score eval(EvalSettings settings) {
        throw new UnsupportedOperationException("eval is not in this build");
    }

    @Override
    public void generate(GenerateSettings settings, Consumer<String> text) {
        throw new UnsupportedOperationException("generate is not in this build");
    }

    @Override
    public String init(InitSettings settings) {
        throw new UnsupportedOperationException("init is not in this build");
    }

    @Override
    public String info(Path model) {
        throw new UnsupportedOperationException("info is not in this build");
    }
}
