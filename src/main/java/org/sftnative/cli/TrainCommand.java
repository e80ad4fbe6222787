package org.sftnative.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.IntConsumer;
import java.util.function.UnaryOperator;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsFile;
import org.sftnative.config.SettingsPrinter;
import org.sftnative.config.SettingsSchema;
import org.sftnative.dist.World;
import org.sftnative.metrics.Screen;
import org.sftnative.train.RunControl;
import picocli.CommandLine.ParseResult;

/// `train`, alone or as one rank of several.
final class TrainCommand {
    static final SettingsSchema<RunSettings> TRAIN = SettingsSchema.of(RunSettings.class);

    private final Work work;
    private final UnaryOperator<ResolvedSettings> located;
    private final PrintStream out;
    private final PrintStream err;
    private final boolean terminal;
    private final Optional<IntConsumer> halt;

    /// @param located gives models of the Hub their directories, fetched if need be
    /// @param halt ends the process at once: with it, signals ask the run to stop, and the environment
    ///     may make this one rank of several
    TrainCommand(
            Work work,
            UnaryOperator<ResolvedSettings> located,
            PrintStream out,
            PrintStream err,
            boolean terminal,
            Optional<IntConsumer> halt) {
        this.work = work;
        this.located = located;
        this.out = out;
        this.err = err;
        this.terminal = terminal;
        this.halt = halt;
    }

    int run(ParseResult command) throws Exception {
        String config = Arguments.value(command.matchedOptionValue("--config", ""));
        List<SettingValue> file = config.isEmpty() ? List.of() : SettingsFile.read(Path.of(config));
        ResolvedSettings resolved = TRAIN.resolve(file, SettingsOptions.given(TRAIN, command));
        if (command.hasMatchedOption("--print-config")) {
            if (TRAIN.missing(resolved).isEmpty()) {
                TRAIN.bind(resolved); // what is printed as ready to run is checked as if it were run
            }
            out.print(SettingsPrinter.yaml(TRAIN, resolved));
            return CommandLineProgram.OK;
        }
        TRAIN.bind(resolved); // a setting that is wrong is told before a model is fetched
        RunSettings settings = TRAIN.bind(located.apply(resolved));
        RunControl requests = new RunControl();
        Optional<Signals> signals = halt.map(end -> new Signals(_ -> requests.stop(), end));
        return new AsRank(err, halt).run(settings.dist(), world -> train(settings, requests, signals, world));
    }

    private int train(RunSettings settings, RunControl requests, Optional<Signals> signals, World world)
            throws Exception {
        if (!world.leads()) {
            work.train(settings, List.of(), requests, world);
            return signals.map(s -> s.status(CommandLineProgram.OK)).orElse(CommandLineProgram.OK);
        }
        try (RunListeners listeners = new RunListeners(settings, out, err, screen())) {
            try {
                work.train(settings, List.of(listeners), requests, world);
            } catch (Exception | Error e) {
                listeners.failed(e);
                throw e;
            }
            return listeners.stopped()
                    ? signals.map(s -> s.status(CommandLineProgram.STOPPED)).orElse(CommandLineProgram.STOPPED)
                    : CommandLineProgram.OK;
        }
    }

    private Screen screen() {
        boolean erases = terminal && !"dumb".equals(System.getenv("TERM"));
        return erases ? new Screen(true, DataText.colours(true, System.getenv()), TerminalSize::columns) : Screen.FILE;
    }
}
