package org.sftnative.cli;

import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.sftnative.config.Suggestion;
import picocli.CommandLine;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/// picocli's complaints in the words of this program.
final class ParseErrors {
    private static final Pattern QUOTED = Pattern.compile("'(-[^']*)'");

    private ParseErrors() {}

    static String message(ParameterException error) {
        CommandLine command = error.getCommandLine();
        return switch (error) {
            case CommandLine.OverwrittenOptionException twice ->
                "option '" + name(twice.getOverwritten()) + "' is given twice\n  keep one of them";
            case CommandLine.UnmatchedArgumentException unmatched -> unknown(unmatched(unmatched), command);
            case CommandLine.MissingParameterException missing
            when !missing.getMissing().isEmpty() ->
                missing.getMissing().getFirst() instanceof OptionSpec option
                        ? "option '" + name(option) + "' needs a value\n  " + option.description()[0].replace("%%", "%")
                        : missing.getMissing().getFirst().paramLabel() + " is missing\n  " + seeHelp(command);
            default -> {
                ArgSpec arg = error.getArgSpec();
                yield arg instanceof OptionSpec option && error.getValue() != null
                        ? "option '" + name(option) + "' is '"
                                + Arguments.value(error.getValue().toString()) + "', must be true or false"
                        : error.getMessage().lines().findFirst().orElse("") + "\n  " + seeHelp(command);
            }
        };
    }

    /// After an option that takes several values, picocli names the unknown option in its message only:
    /// `Unknown option: '--x'; expected parameter ...`.
    private static String unmatched(CommandLine.UnmatchedArgumentException error) {
        Matcher quoted = QUOTED.matcher(error.getMessage());
        return !error.getUnmatched().isEmpty()
                ? error.getUnmatched().getFirst()
                : quoted.find() ? quoted.group(1) : error.getMessage();
    }

    private static String unknown(String argument, CommandLine command) {
        boolean isRoot = command.getParent() == null;
        String typed = Arguments.value(argument.split("=", 2)[0]);
        if (!typed.startsWith("-")) {
            String what = isRoot ? "unknown command '" : "unexpected argument '";
            return what + typed + "'\n  "
                    + Suggestion.nearest(
                                    typed, isRoot ? command.getSubcommands().keySet() : List.of())
                            .map(ParseErrors::didYouMean)
                            .orElse(seeHelp(command));
        }
        List<String> known = command.getCommandSpec().options().stream()
                .filter(option -> !option.hidden())
                .flatMap(option -> Stream.of(option.names())
                        .flatMap(flag -> option.negatable()
                                ? Stream.of(flag, flag.replaceFirst("^--", "--no-"))
                                : Stream.of(flag)))
                .filter(flag -> flag.startsWith("--"))
                .toList();
        Optional<String> near = Suggestion.nearest(
                        typed.replaceFirst("^-+", ""),
                        known.stream().map(flag -> flag.substring(2)).toList())
                .map(name -> "--" + name);
        return "unknown option '" + typed + "'\n  "
                + near.map(ParseErrors::didYouMean).orElse(seeHelp(command));
    }

    private static String didYouMean(String name) {
        return "did you mean '" + name + "'?";
    }

    private static String seeHelp(CommandLine command) {
        return "see " + command.getCommandSpec().qualifiedName() + " --help";
    }

    private static String name(ArgSpec arg) {
        return arg instanceof OptionSpec option ? option.names()[0] : arg.paramLabel();
    }
}
