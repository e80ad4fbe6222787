package org.sftnative.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.sftnative.config.SettingsSchema;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/// The commands' names, options and help texts.
final class Commands {
    private static final int WIDTH = 110;

    static final String[] EXIT_STATUS = {
        "0 done, 1 failed, 2 the input is wrong, 3 stopped as asked, 130 and 143 stopped by a signal."
    };

    /// Commands by what a person wants; one that is not here is listed last.
    private static final List<Task> TASKS = List.of(
            new Task("Train", List.of("train", "launch", "checkpoints", "tune", "merge", "init")),
            new Task("Look at rows and runs", List.of("data", "report", "dashboard", "info")),
            new Task("Use a model", List.of("generate", "chat", "eval", "serve", "export")));

    private record Task(String name, List<String> commands) {}

    private static final String[] EXAMPLES = {
        "",
        "From nothing to a model that answers:",
        "  sft-native init --config models/quickstart.yaml --tokenizer models/tokenizer --output-dir base",
        "  sft-native train --model base --train-file data/quickstart.jsonl --output-dir out \\",
        "      --learning-rate 1e-3 --num-train-epochs 30 --gradient-accumulation-steps 1",
        "  sft-native generate --model out --instruction \"Name three primary colours.\"",
        "See what is trained, before and while it is:",
        "  sft-native data data/quickstart.jsonl --model base",
        "  sft-native train --model base --train-file data/quickstart.jsonl --output-dir out2 --dashboard",
        "Stop before it learns by heart, and compare two runs:",
        "  sft-native train --model base --train-file data/quickstart.jsonl --output-dir out3 \\",
        "      --eval-fraction 0.1 --early-stopping-patience 2 --load-best-model-at-end --save-strategy epoch",
        "  sft-native report out2 out3 --html comparison.html --png charts",
        "Go on where a run was ended:",
        "  sft-native train --model base --train-file data/quickstart.jsonl --output-dir out2 --resume",
    };

    private Commands() {}

    static CommandLine build() {
        CommandSpec root = CommandSpec.create().name("sft-native");
        root.usageMessage()
                .description("Supervised fine-tuning of LLaMA-family models.", "")
                .synopsisSubcommandLabel("COMMAND")
                .commandListHeading("")
                .footer(footer());
        root.usageMessage()
                .sectionMap()
                .put(CommandLine.Model.UsageMessageSpec.SECTION_KEY_COMMAND_LIST, Commands::byTask);
        common(root);
        OptionSpec config = OptionSpec.builder("--config")
                .paramLabel("FILE")
                .type(String.class)
                .description("YAML file of settings: names as below with _ for -; flags win")
                .build();
        OptionSpec printConfig = OptionSpec.builder("--print-config")
                .description("print the settings that a run would use, as YAML that --config takes back, and stop")
                .build();
        add(
                root,
                "train",
                "Fine-tune a model on instruction rows.",
                "sft-native train --model models/base --train-file rows.json --output-dir out",
                List.of(config, printConfig),
                TrainCommand.TRAIN);
        add(
                root,
                "launch",
                "Train with several processes of this machine, and of others: a rank each.",
                "sft-native launch --nproc-per-node 4 -- train --model models/base --train-file rows.json --output-dir out",
                List.of(),
                LaunchCommand.LAUNCH);
        root.subcommands()
                .get("launch")
                .getCommandSpec()
                .addPositional(PositionalParamSpec.builder()
                        .paramLabel("ARGUMENT")
                        .type(List.class)
                        .auxiliaryTypes(String.class)
                        .arity("0..*")
                        .index("0..*")
                        .description("after --: the command that every rank runs")
                        .build());
        add(
                root,
                "comm-bench",
                "Measure what ranks can exchange: all-reduce, reduce-scatter and all-gather, by size.",
                "sft-native launch --nproc-per-node 2 -- comm-bench --max-bytes 16777216",
                List.of(),
                CommBenchCommand.COMM_BENCH);
        add(
                root,
                "eval",
                "Score rows: loss, accuracy, answers.",
                "sft-native eval --model out --eval-file held-out.json",
                List.of(),
                CommandLineProgram.EVAL);
        add(
                root,
                "data",
                "Show rows as a run would train them: counts, lengths, labels, token by token.",
                "sft-native data rows.json --model models/base --html rows.html",
                List.of(),
                CommandLineProgram.DATA);
        root.subcommands()
                .get("data")
                .getCommandSpec()
                .addPositional(PositionalParamSpec.builder()
                        .paramLabel("FILE")
                        .type(List.class)
                        .auxiliaryTypes(String.class)
                        .arity("0..*")
                        .index("0..*")
                        .description("rows to look at; the same as --train-file")
                        .build());
        add(
                root,
                "generate",
                "Let a model answer.",
                "sft-native generate --model out --instruction \"Name three primary colours.\"",
                List.of(),
                CommandLineProgram.GENERATE);
        add(
                root,
                "chat",
                "Talk with a model.",
                "sft-native chat --model out --system \"Answer in one sentence.\"",
                List.of(),
                CommandLineProgram.CHAT);
        add(
                root,
                "serve",
                "Answer OpenAI's HTTP interface: /v1/chat/completions, /v1/completions, /v1/models.",
                "sft-native serve --model out --port 8000",
                List.of(),
                CommandLineProgram.SERVE);
        add(
                root,
                "init",
                "Make a model with random weights.",
                "sft-native init --config small.yaml --tokenizer models/base --output-dir models/small",
                List.of(),
                CommandLineProgram.INIT);
        add(
                root,
                "tune",
                "Search for the best settings: many runs, weak ones stopped early.",
                "sft-native tune --config run.yaml --space space.yaml --num-samples 20 --output-dir study",
                TuneCommand.options(),
                TuneCommand.TUNE);
        CommandSpec show = command(
                "show",
                "What a study has found: the best, what is important, all trials.",
                "sft-native tune show study");
        TuneCommand.describeShow(show);
        root.subcommands().get("tune").getCommandSpec().addSubcommand("show", show);
        add(
                root,
                "merge",
                "Fold adapters into their base model.",
                "sft-native merge --model models/base --adapter out --output-dir merged --dtype bf16",
                List.of(),
                CommandLineProgram.MERGE);
        add(
                root,
                "export",
                "Write a model as one file for other programs: GGUF.",
                "sft-native export --model merged --type q8_0 --output-file model.gguf",
                List.of(),
                CommandLineProgram.EXPORT);
        add(
                root,
                "download",
                "Fetch a model from the Hub.",
                "sft-native download org/name@main",
                List.of(),
                CommandLineProgram.DOWNLOAD);
        root.subcommands()
                .get("download")
                .getCommandSpec()
                .addPositional(PositionalParamSpec.builder()
                        .paramLabel("MODEL")
                        .type(String.class)
                        .arity("0..1")
                        .index("0")
                        .description("org/name or org/name@revision; the same as --model")
                        .build());
        add(
                root,
                "info",
                "Shape, parameter count and training memory of a model.",
                "sft-native info models/base --sharding zero3 --ranks 8",
                List.of(),
                CommandLineProgram.INFO);
        directories(
                root, "info", "MODEL", "0..1", "directory of the model, or org/name[@revision]; the same as --model");
        CommandSpec checkpoints =
                command("checkpoints", "List and verify the checkpoints of a run.", "sft-native checkpoints out");
        checkpoints.addPositional(PositionalParamSpec.builder()
                .paramLabel("OUT")
                .type(String.class)
                .required(true)
                .arity("1")
                .index("0")
                .description("output directory of a run")
                .build());
        root.addSubcommand("checkpoints", checkpoints);
        root.addSubcommand(
                "doctor",
                command("doctor", "Examine this machine: driver, libraries, kernels, rates.", "sft-native doctor"));
        add(
                root,
                "report",
                "Write the page of a run, or of several side by side: curves, what they say, answers, settings.",
                "sft-native report out --png charts",
                List.of(),
                ReportCommand.REPORT);
        directories(root, "report", "OUT", "0..*", "output directories of runs; the same as --runs");
        add(
                root,
                "dashboard",
                "Show a run live in a browser, while it goes on or after.",
                "sft-native dashboard out",
                List.of(),
                DashboardCommand.DASHBOARD);
        directories(root, "dashboard", "OUT", "0..1", "output directory of a run; the same as --run");
        root.addSubcommand(
                "completion",
                command(
                        "completion",
                        "Print a script that lets bash and zsh complete commands and flags.",
                        "source <(sft-native completion)"));
        CommandSpec man = command("man", "Write the manual's pages into a directory.", "sft-native man share/man/man1");
        man.addPositional(PositionalParamSpec.builder()
                .paramLabel("DIR")
                .type(String.class)
                .required(true)
                .arity("1")
                .index("0")
                .description("directory to write to")
                .build());
        man.usageMessage().hidden(true);
        root.addSubcommand("man", man);
        CommandSpec docs = command("docs", "Print docs/SETTINGS.md.", "sft-native docs > docs/SETTINGS.md");
        docs.usageMessage().hidden(true);
        root.addSubcommand("docs", docs);
        return new CommandLine(root)
                .setExpandAtFiles(false) // a prompt may start with @
                .setUnmatchedOptionsAllowedAsOptionParameters(false);
    }

    private static void directories(CommandSpec root, String command, String label, String arity, String doc) {
        root.subcommands()
                .get(command)
                .getCommandSpec()
                .addPositional(PositionalParamSpec.builder()
                        .paramLabel(label)
                        .type(List.class)
                        .auxiliaryTypes(String.class)
                        .arity(arity)
                        .index(arity.endsWith("*") ? "0..*" : "0")
                        .description(doc)
                        .build());
    }

    private static String[] footer() {
        List<String> footer = new ArrayList<>(List.of(EXAMPLES));
        footer.add("");
        footer.add("Each command has its own --help. Exit status: " + EXIT_STATUS[0]);
        return footer.toArray(String[]::new);
    }

    /// The list of commands under headings of what they are for.
    private static String byTask(Help help) {
        Map<String, Help> left = new LinkedHashMap<>(help.subcommands());
        left.values().removeIf(command -> command.commandSpec().usageMessage().hidden());
        StringBuilder text = new StringBuilder();
        List<String> named =
                TASKS.stream().flatMap(task -> task.commands.stream()).toList();
        List<String> others =
                left.keySet().stream().filter(name -> !named.contains(name)).toList();
        Stream.concat(TASKS.stream(), Stream.of(new Task("More", others))).forEach(task -> {
            text.append("\n").append(task.name).append(":\n");
            task.commands.stream()
                    .filter(left::containsKey)
                    .forEach(name -> text.append("  %-12s %s%n"
                            .formatted(
                                    name,
                                    left.get(name).commandSpec().usageMessage().description()[0])));
        });
        return text.toString();
    }

    static String usage(CommandLine command) {
        return command.getUsageMessage(Help.Ansi.OFF);
    }

    private static void add(
            CommandSpec root, String name, String doc, String example, List<OptionSpec> own, SettingsSchema<?> schema) {
        CommandSpec command = command(name, doc, example);
        own.forEach(command::addOption);
        List<OptionSpec> settings = SettingsOptions.of(schema);
        Map<String, List<OptionSpec>> groups = new LinkedHashMap<>();
        for (int i = 0; i < settings.size(); i++) {
            command.addOption(settings.get(i));
            groups.computeIfAbsent(schema.fields().get(i).group(), _ -> new ArrayList<>())
                    .add(settings.get(i));
        }
        command.usageMessage().sectionMap().put(CommandLine.Model.UsageMessageSpec.SECTION_KEY_OPTION_LIST, help -> {
            List<OptionSpec> others = new ArrayList<>(command.options());
            others.removeAll(settings);
            StringBuilder text = new StringBuilder(list(help, others));
            groups.forEach((group, options) ->
                    text.append("\n").append(group).append(":\n").append(list(help, options)));
            return text.toString();
        });
        root.addSubcommand(name, command);
    }

    private static String list(Help help, List<OptionSpec> options) {
        Help.IParamLabelRenderer labels = help.createDefaultParamLabelRenderer();
        Help.IParamLabelRenderer ours = new Help.IParamLabelRenderer() {
            @Override
            public Help.Ansi.Text renderParameterLabel(ArgSpec arg, Help.Ansi ansi, List<Help.Ansi.IStyle> styles) {
                boolean isSwitch = arg instanceof OptionSpec option && option.negatable();
                return isSwitch ? ansi.text("") : labels.renderParameterLabel(arg, ansi, styles);
            }

            @Override
            public String separator() {
                return labels.separator();
            }
        };
        return help.optionListExcludingGroups(options, help.createDefaultLayout(), null, ours);
    }

    private static CommandSpec command(String name, String doc, String example) {
        CommandSpec command = CommandSpec.create().name(name);
        command.usageMessage().description(doc, "", "Example: " + example, "").abbreviateSynopsis(true);
        common(command);
        return command;
    }

    private static void common(CommandSpec command) {
        command.usageMessage().width(WIDTH).sortOptions(false);
        command.addOption(OptionSpec.builder("-h", "--help")
                .usageHelp(true)
                .description("show this help and stop")
                .build());
        command.addOption(OptionSpec.builder("-V", "--version")
                .versionHelp(true)
                .description("print versions (program, commit, libtorch, Java) and stop")
                .build());
        command.addOption(OptionSpec.builder("--stacktrace")
                .description("show where an error happened")
                .build());
    }
}
