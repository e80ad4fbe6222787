package org.sftnative.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/// The manual: `sft-native.1`, and a page for each command, in troff's man macros, from the same descriptions as
/// `--help`.
final class ManPages {
    private ManPages() {}

    /// Writes the pages into a folder, which is made.
    static List<Path> write(CommandLine root, Path folder) throws IOException {
        Files.createDirectories(folder);
        List<Path> files = new ArrayList<>();
        for (CommandLine command : Stream.concat(Stream.of(root), root.getSubcommands().values().stream())
                .filter(c -> !c.getCommandSpec().usageMessage().hidden())
                .toList()) {
            CommandSpec spec = command.getCommandSpec();
            Path file = folder.resolve(title(spec) + ".1");
            Files.writeString(file, page(spec));
            files.add(file);
        }
        return files;
    }

    private static String title(CommandSpec spec) {
        return spec.qualifiedName("-");
    }

    static String page(CommandSpec spec) {
        StringBuilder page = new StringBuilder();
        String[] description = spec.usageMessage().description();
        page.append(".TH \"").append(title(spec).toUpperCase()).append("\" 1 \"\" \"sft-native\" \"sft-native\"\n");
        page.append(".SH NAME\n").append(escaped(title(spec))).append(" \\- ");
        page.append(escaped(description[0].replaceAll("\\.$", ""))).append('\n');
        page.append(".SH SYNOPSIS\n.B ").append(escaped(spec.qualifiedName())).append('\n');
        page.append(spec.subcommands().isEmpty() ? "[\\fIOPTIONS\\fR]" : "\\fICOMMAND\\fR [\\fIOPTIONS\\fR]");
        for (PositionalParamSpec positional : spec.positionalParameters()) {
            page.append(" \\fI").append(escaped(positional.paramLabel())).append("\\fR");
            page.append(positional.arity().max() > 1 ? "..." : "");
        }
        page.append("\n.SH DESCRIPTION\n").append(text(description));
        if (!spec.subcommands().isEmpty()) {
            page.append(".SH COMMANDS\n");
            for (Map.Entry<String, CommandLine> command : spec.subcommands().entrySet()) {
                CommandSpec sub = command.getValue().getCommandSpec();
                if (!sub.usageMessage().hidden()) {
                    item(page, command.getKey(), sub.usageMessage().description()[0]);
                }
            }
        }
        page.append(".SH OPTIONS\n");
        for (OptionSpec option : spec.options()) {
            if (!option.hidden()) {
                String names = Stream.of(option.names())
                        .map(name -> option.negatable() ? name.replaceFirst("^--", "--[no-]") : name)
                        .collect(Collectors.joining(", "));
                boolean hasValue = option.arity().max() > 0 && !option.negatable();
                item(page, names + (hasValue ? " " + option.paramLabel() : ""), String.join(" ", option.description()));
            }
        }
        page.append(".SH \"EXIT STATUS\"\n").append(text(Commands.EXIT_STATUS));
        return page.toString();
    }

    private static void item(StringBuilder page, String name, String text) {
        page.append(".TP\n.B ").append(escaped(name)).append('\n');
        page.append(escaped(text.replace("%%", "%"))).append('\n');
    }

    private static String text(String... lines) {
        return Stream.of(lines)
                .map(line -> line.isEmpty() ? ".PP\n" : escaped(line.replace("%%", "%")) + "\n.br\n")
                .collect(Collectors.joining());
    }

    /// Text as troff prints it: a backslash, a dash, and what a line must not begin with.
    private static String escaped(String text) {
        String safe = text.replace("\\", "\\e").replace("-", "\\-");
        return safe.startsWith(".") || safe.startsWith("'") ? "\\&" + safe : safe;
    }
}
