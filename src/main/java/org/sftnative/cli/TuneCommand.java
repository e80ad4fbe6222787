package org.sftnative.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsFile;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.TuneResources;
import org.sftnative.config.TuneSettings;
import org.sftnative.config.TuneShowSettings;
import org.sftnative.tune.SearchSpace;
import org.sftnative.tune.study.Study;
import org.sftnative.tune.study.StudyPage;
import org.sftnative.tune.study.StudyResults;
import org.sftnative.tune.study.StudyText;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;
import picocli.CommandLine.ParseResult;

/// `tune` and `tune show`.
final class TuneCommand {
    static final SettingsSchema<TuneSettings> TUNE = SettingsSchema.of(TuneSettings.class);
    static final SettingsSchema<TuneShowSettings> SHOW = SettingsSchema.of(TuneShowSettings.class);

    private final PrintStream out;
    private final boolean terminal;
    private final Optional<IntConsumer> halt;
    private final UnaryOperator<ResolvedSettings> located;

    /// @param located gives models of the Hub their directories, fetched if need be
    /// @param halt ends the process at once: with it, signals ask the study to stop
    TuneCommand(
            PrintStream out, boolean terminal, Optional<IntConsumer> halt, UnaryOperator<ResolvedSettings> located) {
        this.out = out;
        this.terminal = terminal;
        this.halt = halt;
        this.located = located;
    }

    static List<OptionSpec> options() {
        return List.of(OptionSpec.builder("--example")
                .description("print a search space, and stop")
                .build());
    }

    /// `show`, made complete.
    static void describeShow(CommandSpec show) {
        SettingsOptions.of(SHOW).forEach(show::addOption);
        show.addPositional(PositionalParamSpec.builder()
                .paramLabel("STUDY")
                .type(String.class)
                .required(true)
                .arity("1")
                .index("0")
                .description("the study's directory")
                .build());
    }

    int run(ParseResult command) throws Exception {
        if (command.hasSubcommand()) {
            return show(command.subcommand());
        }
        if (command.hasMatchedOption("--example")) {
            out.print(SearchSpace.example());
            return CommandLineProgram.OK;
        }
        List<SettingValue> given = SettingsOptions.given(TUNE, command);
        TuneSettings settings = TUNE.bind(TUNE.resolve(given));
        Set<String> typed = given.stream().map(SettingValue::name).collect(Collectors.toSet());
        TrialPlaces.Machine machine = TrialPlaces.Machine.here();
        if (settings.resources() != TuneResources.AUTO) {
            TrialPlaces.told(settings, machine); // refuses while nothing is written
        }
        AtomicReference<Runnable> stop = new AtomicReference<>(() -> {});
        Optional<Signals> signals = halt.map(end -> new Signals(_ -> stop.get().run(), end));
        try (Study study = open(settings, typed)) {
            TrialPlaces places = TrialPlaces.of(settings, study, machine, located);
            out.println("study " + study.output() + ", " + places.why());
            LiveTable table = new LiveTable(study, out, terminal);
            Study.Place place = new Study.Place(places.slots(), places.threads(), ThisProgram::trial);
            boolean finished = study.work(settings, place, table, stop::set);
            StudyResults results = study.results();
            table.end(results, results.best().flatMap(best -> study.model(best.number())));
            if (finished && results.best().isEmpty()) {
                out.println("no trial has a value: there are no best settings");
                return CommandLineProgram.FAILED;
            }
            if (finished) {
                return CommandLineProgram.OK;
            }
            out.println("stopped; go on with tune --resume --output-dir " + study.output());
            return signals.map(s -> s.status(CommandLineProgram.STOPPED)).orElse(CommandLineProgram.STOPPED);
        }
    }

    private static Study open(TuneSettings settings, Set<String> typed) {
        if (settings.worker()) {
            return Study.join(settings);
        }
        return Study.begin(
                settings,
                settings.config().map(SettingsFile::read),
                settings.space().map(SettingsFile::text),
                typed);
    }

    private int show(ParseResult command) {
        TuneShowSettings settings = SHOW.bind(SHOW.resolve(SettingsOptions.given(SHOW, command)));
        Path output = Path.of(Arguments.value(command.matchedPositionalValue(0, "")));
        try (Study study = Study.look(output, settings.storage(), settings.studyName())) {
            StudyResults results = study.results();
            if (settings.html().isPresent()) {
                write(settings.html().get(), StudyPage.of(results));
                out.println("the page is " + settings.html().get());
            } else if (settings.csv()) {
                out.print(StudyText.csv(results));
            } else {
                Optional<Path> model = results.best().flatMap(best -> study.model(best.number()));
                out.print(StudyText.show(results, model.map(Path::toString)));
            }
            return CommandLineProgram.OK;
        }
    }

    private static void write(Path page, String text) {
        try {
            Files.writeString(page, text);
        } catch (IOException e) {
            throw new InputException(
                    "cannot write " + page + ": " + e.getMessage() + "\n  --html names a file to write", e);
        }
    }
}
