package org.sftnative.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.openjdk.jmh.runner.BenchmarkList;
import org.openjdk.jmh.runner.BenchmarkListEntry;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.VerboseMode;
import org.sftnative.tensor.Torch;

/// JMH's own command line, with four things always on: a benchmark that fails ends the run with a non-zero status,
/// peak memory and CPU time are measured, two processes may take turns, and what needs a card (the classes `Card..`) is
/// counted as skipped where
/// there is none.
public final class Main {
    private static final String CARD = ".*\\.Card[^.]*\\..*";

    private Main() {}

    /// @param args those of JMH; `-h` lists them
    public static void main(String[] args) throws IOException {
        try {
            run(args);
        } catch (CommandLineOptionException | PatternSyntaxException e) {
            System.err.println("error: " + e.getMessage() + "\n  -h lists what there is");
            System.exit(2);
        }
    }

    private static void run(String[] args) throws IOException, CommandLineOptionException {
        List<String> all = new ArrayList<>(List.of("-foe", "true"));
        for (Class<?> profiler : List.of(PeakBytes.class, CpuTime.class, Turns.class)) {
            all.addAll(List.of("-prof", profiler.getName()));
        }
        all.addAll(List.of(args));
        List<String> chosen = new CommandLineOptions(args).getIncludes();
        chosen.forEach(Pattern::compile);
        Torch.start(0);
        if (!Here.hasCard()) {
            TreeSet<String> skipped = new TreeSet<>();
            boolean others = false;
            for (BenchmarkListEntry entry : BenchmarkList.defaultList()
                    .find(
                            OutputFormatFactory.createFormatInstance(System.out, VerboseMode.SILENT),
                            chosen,
                            List.of())) {
                if (entry.getUsername().matches(CARD)) {
                    skipped.add(entry.getUsername().replaceFirst(".*\\.(?=[^.]*\\.[^.]*$)", ""));
                } else {
                    others = true;
                }
            }
            if (!skipped.isEmpty()) {
                System.out.println(skipped.size() + " benchmarks skipped, no CUDA device: " + skipped);
                all.addAll(List.of("-e", CARD));
                if (!others) {
                    return;
                }
            }
        }
        org.openjdk.jmh.Main.main(all.toArray(String[]::new));
    }
}
