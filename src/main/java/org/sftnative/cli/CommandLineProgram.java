package org.sftnative.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import org.sftnative.InputException;
import org.sftnative.config.ChatSettings;
import org.sftnative.config.CommBenchSettings;
import org.sftnative.config.DownloadSettings;
import org.sftnative.config.EvalSettings;
import org.sftnative.config.ExportSettings;
import org.sftnative.config.GenerateSettings;
import org.sftnative.config.InfoSettings;
import org.sftnative.config.InitSettings;
import org.sftnative.config.MergeSettings;
import org.sftnative.config.ReportSettings;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.ServeSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsPrinter;
import org.sftnative.config.SettingsSchema;
import org.sftnative.data.DataReport;
import org.sftnative.dist.RanksException;
import org.sftnative.io.HubClient;
import org.sftnative.io.HubException;
import org.sftnative.io.HubSettings;
import org.sftnative.tensor.TorchErrors;
import org.sftnative.train.RunLostException;
import org.sftnative.tune.study.StorageException;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/// The command line without the process around it: arguments in, text and an exit status out.
/// Status 0: done. 1: failed. 2: the user's input is wrong. 3: stopped before the end, as asked. 130, 143: stopped by
/// SIGINT, SIGTERM.
public final class CommandLineProgram {
    /// Done.
    public static final int OK = 0;
    /// The program or the machine failed.
    public static final int FAILED = 1;
    /// The user's input is wrong; the message says what and where.
    public static final int BAD_INPUT = 2;
    /// A run was asked to stop before its end (`touch OUT/stop`), and has saved. After a signal: 128 and its number.
    public static final int STOPPED = 3;

    static final SettingsSchema<EvalSettings> EVAL = SettingsSchema.of(EvalSettings.class);
    static final SettingsSchema<ReportSettings> DATA = SettingsSchema.of(ReportSettings.class);
    static final SettingsSchema<GenerateSettings> GENERATE = SettingsSchema.of(GenerateSettings.class);
    static final SettingsSchema<ChatSettings> CHAT = SettingsSchema.of(ChatSettings.class);
    static final SettingsSchema<ServeSettings> SERVE = SettingsSchema.of(ServeSettings.class);
    static final SettingsSchema<InfoSettings> INFO = SettingsSchema.of(InfoSettings.class);
    static final SettingsSchema<InitSettings> INIT = SettingsSchema.of(InitSettings.class);
    static final SettingsSchema<MergeSettings> MERGE = SettingsSchema.of(MergeSettings.class);

    static final SettingsSchema<ExportSettings> EXPORT = SettingsSchema.of(ExportSettings.class);
    static final SettingsSchema<DownloadSettings> DOWNLOAD = SettingsSchema.of(DownloadSettings.class);

    private final Work work;
    private final HubModels models;
    private final PrintStream out;
    private final PrintStream err;
    private final boolean terminal;
    private final Optional<IntConsumer> halt;

    /// @param terminal whether `out` is a terminal, for the progress line
    public CommandLineProgram(Work work, PrintStream out, PrintStream err, boolean terminal) {
        this(work, out, err, terminal, Optional.empty(), HubSettings::ofEnvironment);
    }

    /// @param halt ends the process with a status, at once: with it, signals ask a run to stop
    /// @param hub where models of the Hub come from
    CommandLineProgram(
            Work work,
            PrintStream out,
            PrintStream err,
            boolean terminal,
            Optional<IntConsumer> halt,
            Supplier<HubSettings> hub) {
        this.halt = halt;
        this.work = work;
        models = new HubModels(hub, err, terminal);
        this.out = out;
        this.err = err;
        this.terminal = terminal;
    }

    /// Runs one command line; never throws.
    ///
    /// @return the exit status
    public int run(String... typed) {
        boolean stacktrace = Arrays.asList(typed).contains("--stacktrace");
        try {
            List<String> args = Arguments.prepare(typed);
            if (!args.isEmpty() && args.getFirst().equals("help")) {
                args = args.size() == 1 ? List.of("--help") : List.of(args.get(1), "--help");
            }
            CommandLine commands = Commands.build();
            return execute(commands, commands.parseArgs(args.toArray(String[]::new)));
        } catch (ParameterException e) {
            return report(new InputException(ParseErrors.message(e), e), stacktrace);
        } catch (Throwable e) {
            return report(e, stacktrace);
        } finally {
            out.flush();
        }
    }

    private int execute(CommandLine root, ParseResult result) throws Exception {
        ParseResult command = result.hasSubcommand() ? result.subcommand() : result;
        ParseResult innermost = command.hasSubcommand() ? command.subcommand() : command;
        if (innermost.hasMatchedOption("--help")) {
            out.print(Commands.usage(innermost.commandSpec().commandLine()));
            return OK;
        }
        if (result.hasMatchedOption("--version") || command.hasMatchedOption("--version")) {
            out.print(Version.ofThisBuild());
            return OK;
        }
        if (!result.hasSubcommand()) {
            err.print(Commands.usage(root));
            return BAD_INPUT;
        }
        switch (command.commandSpec().name()) {
            case "train" -> {
                return new TrainCommand(
                                work, given -> models.located(given, HubClient.Need.MODEL), out, err, terminal, halt)
                        .run(command);
            }
            case "launch" -> {
                return new LaunchCommand(err, terminal, halt).run(bind(LaunchCommand.LAUNCH, command), typed(command));
            }
            case "comm-bench" -> {
                CommBenchSettings settings = bind(CommBenchCommand.COMM_BENCH, command);
                return new AsRank(err, halt).run(settings.dist(), world -> {
                    CommBenchCommand.run(settings, world, out);
                    return OK;
                });
            }
            case "eval" -> eval(command);
            case "data" -> data(command);
            case "tune" -> {
                return new TuneCommand(out, terminal, halt, given -> models.located(given, HubClient.Need.MODEL))
                        .run(command);
            }
            case "generate" -> {
                work.generate(bind(GENERATE, command), text -> {
                    out.print(text);
                    out.flush();
                });
                out.println();
            }
            case "merge" -> out.println(work.merge(bind(MERGE, command)));
            case "export" -> out.println(work.export(bind(EXPORT, command)));
            case "download" -> DownloadCommand.run(downloaded(command), models, out, err, terminal);
            case "chat" -> ChatCommand.run(bind(CHAT, command), System.in, out, err, terminal);
            case "serve" -> {
                return new ServeCommand(out, err, halt).run(bind(SERVE, command));
            }
            case "init" -> out.println(work.init(bind(INIT, command)));
            case "info" ->
                out.println(
                        work.info(located(INFO, resolved(INFO, command, "model_name_or_path"), HubClient.Need.MODEL))
                                .stripTrailing());
            case "checkpoints" ->
                work.checkpoints(Path.of(Arguments.value(command.matchedPositionalValue(0, ""))))
                        .forEach(out::println);
            case "doctor" -> {
                return new Doctor(out::println).examine() ? OK : FAILED;
            }
            case "report" -> ReportCommand.run(bind(ReportCommand.REPORT, command, "runs"), out);
            case "dashboard" -> DashboardCommand.run(bind(DashboardCommand.DASHBOARD, command, "run"), out);
            case "completion" -> out.print(AutoComplete.bash("sft-native", root));
            case "man" ->
                ManPages.write(root, Path.of(Arguments.value(command.matchedPositionalValue(0, ""))))
                        .forEach(out::println);
            case "docs" -> out.print(docs());
            default -> throw new IllegalStateException(command.commandSpec().name());
        }
        return OK;
    }

    private void eval(ParseResult command) throws Exception {
        List<SettingValue> given = new ArrayList<>(SettingsOptions.given(EVAL, command));
        Optional<SettingValue> pair =
                given.stream().filter(v -> v.name().equals("compare")).findFirst();
        if (pair.isPresent() && given.stream().anyMatch(v -> v.name().equals("model_name_or_path"))) {
            throw new InputException("--compare names both models\n  leave --model out");
        }
        pair.map(v -> new SettingValue("model", List.of(v.texts().getLast()), v.origin()))
                .ifPresent(given::add);
        work.eval(located(EVAL, EVAL.resolve(given), HubClient.Need.MODEL), out::print);
    }

    private void data(ParseResult command) throws Exception {
        ReportSettings settings = located(DATA, resolved(DATA, command, "train_file"), HubClient.Need.TOKENIZER);
        DataReport report = work.data(settings);
        if (settings.validate()) {
            report.broken().forEach(why -> why.lines().forEach(line -> out.println(Visible.of(line))));
            int rows = report.files().stream()
                    .mapToInt(DataReport.SourceLine::rows)
                    .sum();
            out.println(rows + " rows are good, " + report.broken().size() + " broken");
        } else {
            out.print(new DataText(DataText.colours(terminal, System.getenv())).of(report));
        }
        if (settings.html().isPresent()) {
            Path page = settings.html().get();
            try {
                Files.writeString(page, DataPage.of(report));
            } catch (IOException e) {
                throw new InputException(
                        "cannot write " + page + ": " + e.getMessage() + "\n  --html names a file to write", e);
            }
            out.println("\nthe page is " + page);
        }
    }

    private <R extends Record> R bind(SettingsSchema<R> schema, ParseResult command) {
        ResolvedSettings resolved = schema.resolve(SettingsOptions.given(schema, command));
        return located(schema, resolved, HubClient.Need.MODEL);
    }

    /// The settings of a command, models of the Hub fetched; a setting that is wrong is told before.
    private <R extends Record> R located(SettingsSchema<R> schema, ResolvedSettings given, HubClient.Need need) {
        schema.bind(given);
        return schema.bind(models.located(given, need));
    }

    /// What comes after the `--` of `launch`.
    private static List<String> typed(ParseResult command) {
        return command.matchedPositionalValue(0, List.<String>of()).stream()
                .map(Arguments::value)
                .toList();
    }

    private static DownloadSettings downloaded(ParseResult command) {
        List<SettingValue> given = new ArrayList<>(SettingsOptions.given(DOWNLOAD, command));
        String model = Arguments.value(command.matchedPositionalValue(0, ""));
        if (!model.isEmpty()) {
            given.add(new SettingValue("model_name_or_path", List.of(model), "MODEL"));
        }
        return DOWNLOAD.bind(DOWNLOAD.resolve(given));
    }

    private static <R extends Record> R bind(SettingsSchema<R> schema, ParseResult command, String positional) {
        return schema.bind(resolved(schema, command, positional));
    }

    /// @param positional the setting that arguments without a flag are values of
    private static ResolvedSettings resolved(SettingsSchema<?> schema, ParseResult command, String positional) {
        List<SettingValue> given = new ArrayList<>(SettingsOptions.given(schema, command));
        List<String> values = command.matchedPositionalValue(0, List.<String>of());
        if (!values.isEmpty()) {
            given.add(new SettingValue(
                    positional,
                    values.stream().map(Arguments::value).toList(),
                    command.matchedPositional(0).paramLabel()));
        }
        return schema.resolve(given);
    }

    /// docs/SETTINGS.md.
    static String docs() {
        StringBuilder out = new StringBuilder("""
                # Settings

                Made by `scripts/sft docs > docs/SETTINGS.md`; a test holds it to the code.

                A setting is a line of `--config run.yaml` (`learning_rate: 2e-5`) or a flag (`--learning-rate 2e-5`); \
                flags win.
                Names are transformers' and TRL's. On and off: `--shuffle`, `--no-shuffle`. \
                `train --print-config` prints what a run would use.
                """);
        out.append("\n## train\n").append(SettingsPrinter.markdown(TrainCommand.TRAIN));
        out.append("\n## launch\n").append(SettingsPrinter.markdown(LaunchCommand.LAUNCH));
        out.append("\n## comm-bench\n").append(SettingsPrinter.markdown(CommBenchCommand.COMM_BENCH));
        out.append("\n## eval\n").append(SettingsPrinter.markdown(EVAL));
        out.append("\n## data\n").append(SettingsPrinter.markdown(DATA));
        out.append("\n## tune\n").append(SettingsPrinter.markdown(TuneCommand.TUNE));
        out.append("\n## tune show\n").append(SettingsPrinter.markdown(TuneCommand.SHOW));
        out.append("\n## generate\n").append(SettingsPrinter.markdown(GENERATE));
        out.append("\n## chat\n").append(SettingsPrinter.markdown(CHAT));
        out.append("\n## serve\n").append(SettingsPrinter.markdown(SERVE));
        out.append("\n## report\n").append(SettingsPrinter.markdown(ReportCommand.REPORT));
        out.append("\n## dashboard\n").append(SettingsPrinter.markdown(DashboardCommand.DASHBOARD));
        out.append("\n## info\n").append(SettingsPrinter.markdown(INFO));
        out.append("\n## init\n").append(SettingsPrinter.markdown(INIT));
        out.append("\n## merge\n").append(SettingsPrinter.markdown(MERGE));
        out.append("\n## export\n").append(SettingsPrinter.markdown(EXPORT));
        out.append("\n## download\n").append(SettingsPrinter.markdown(DOWNLOAD));
        return out.toString();
    }

    private int report(Throwable error, boolean stacktrace) {
        if (stacktrace) {
            error.printStackTrace(err);
        }
        if (error instanceof InputException) {
            err.println("error: " + error.getMessage());
            return BAD_INPUT;
        }
        Optional<String> known = error instanceof RunLostException
                        || error instanceof RanksException
                        || error instanceof StorageException
                        || error instanceof HubException
                ? Optional.of(error.getMessage())
                : TorchErrors.explain(error);
        known = known.or(() -> NativesErrors.explain(error));
        if (known.isPresent()) {
            err.println("error: " + known.get());
            return FAILED;
        }
        String message = error.getMessage() == null
                ? ""
                : error.getMessage().lines().findFirst().orElse("");
        err.println("error: " + (message.isBlank() ? "" : message + " ") + "("
                + error.getClass().getName() + ")");
        if (!stacktrace) {
            err.println("  this is not about your input; --stacktrace shows where it happened");
        }
        return FAILED;
    }
}
