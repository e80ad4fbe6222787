package org.sftnative.benchmarks.guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.stream.Stream;
import org.sftnative.benchmarks.Counts;
import org.sftnative.benchmarks.Here;

/// The guard's commands; `scripts/bench` types them.
///
///     abba|turns BASE_CLASS_PATH CANDIDATE_CLASS_PATH PAIRS FOLDER [JMH's arguments]
///     compare FOLDER                      judges base-*.json and candidate-*.json of a folder again
///     counts FILE [--accept]              counts this build against a file, or writes the file
///     record BASELINES RESULTS.json ..    adds results to the file of this machine
///     since BASELINE.jsonl RESULTS.json   judges results against recorded ones of this machine
///
/// Exit status 0: nothing regressed. 1: something did. 2: something could not be judged.
public final class Guard {
    private Guard() {}

    public static void main(String[] args) {
        int status;
        try {
            status = run(List.of(args));
        } catch (BadResults e) {
            System.err.println("error: " + e.getMessage());
            status = 2;
        } catch (Throwable e) { // Java's own status would be 1, a regression
            e.printStackTrace();
            status = 2;
        }
        System.exit(status);
    }

    static int run(List<String> args) throws IOException, InterruptedException {
        if (args.size() < 2) {
            throw new BadResults("a command is missing: abba, compare, counts, record or since");
        }
        return switch (args.getFirst()) {
            case "abba", "turns" -> {
                need(args, 5);
                Path folder = Path.of(args.get(4));
                boolean turns = args.getFirst().equals("turns");
                List<Integer> cores = turns
                        ? Abba.cores(
                                Files.readAllLines(Path.of("/proc/self/status")),
                                System.getenv().getOrDefault("PATH", ""))
                        : List.of();
                new Abba(args.get(1), args.get(2), turns, cores, folder, args.subList(5, args.size()))
                        .run(pairs(args.get(3)));
                yield judge(folder);
            }
            case "compare" -> judge(Path.of(args.get(1)));
            case "counts" -> {
                List<String> options = args.subList(2, args.size());
                if (!options.isEmpty() && !options.equals(List.of("--accept"))) {
                    throw new BadResults("counts takes --accept and nothing else, not " + options);
                }
                yield counts(Path.of(args.get(1)), !options.isEmpty());
            }
            case "record" -> {
                need(args, 3);
                SortedMap<String, Row> rows = Results.read(paths(args.subList(2, args.size())));
                Path file = Baseline.append(Path.of(args.get(1)), Here.place(), Here.commit(), Here.clocks(), rows);
                System.out.println(rows.size() + " rows added to " + file);
                yield 0;
            }
            case "since" -> {
                need(args, 3);
                yield tell(Comparison.of(
                        Baseline.read(Path.of(args.get(1)), Here.place()),
                        Results.read(paths(args.subList(2, args.size())))));
            }
            default -> throw new BadResults("no command '" + args.getFirst() + "'");
        };
    }

    private static void need(List<String> args, int count) {
        if (args.size() < count) {
            throw new BadResults(args.getFirst() + " needs " + (count - 1) + " arguments");
        }
    }

    private static int pairs(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new BadResults("'" + text + "' is no number of pairs", e);
        }
    }

    private static int judge(Path folder) throws IOException {
        List<Path> base = files(folder, "base-");
        List<Path> candidate = files(folder, "candidate-");
        if (!numbers(base).equals(numbers(candidate))) {
            throw new BadResults("the forks in " + folder + " are no pairs: base " + numbers(base) + ", candidate "
                    + numbers(candidate));
        }
        return tell(Comparison.of(Results.read(base), Results.read(candidate)));
    }

    private static List<String> numbers(List<Path> files) {
        return files.stream()
                .map(f -> f.getFileName().toString().replaceAll("\\D", ""))
                .toList();
    }

    private static int tell(Comparison comparison) {
        System.out.print(comparison);
        return comparison.status();
    }

    private static List<Path> files(Path folder, String prefix) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> found = files.filter(f -> f.getFileName().toString().matches(prefix + "\\d+\\.json"))
                    .sorted()
                    .toList();
            if (found.isEmpty()) {
                throw new BadResults(folder + " has no results " + prefix + "*.json");
            }
            return found;
        }
    }

    private static List<Path> paths(List<String> names) {
        return new ArrayList<>(names.stream().map(Path::of).toList());
    }

    private static int counts(Path file, boolean accept) throws IOException {
        SortedMap<String, Long> counted = Counts.ofThisBuild();
        if (accept) {
            CountsFile.write(file, counted);
            System.out.println(counted.size() + " counts written to " + file);
            return 0;
        }
        return judge(CountsFile.read(file), counted);
    }

    /// Prints what is not as accepted.
    static int judge(SortedMap<String, Long> accepted, SortedMap<String, Long> counted) {
        Long before = accepted.getOrDefault(CountsFile.JDK, 0L);
        Long jdk = counted.getOrDefault(CountsFile.JDK, 0L);
        if (!before.equals(jdk)) {
            // the library's own allocations are another JDK's: objects of ours are counted where it is the same
            System.out.println("heap bytes not compared: accepted with JDK " + before + ", this is " + jdk);
            accepted.keySet().removeIf(CountsFile::ofTheJdk);
            counted.keySet().removeIf(CountsFile::ofTheJdk);
        }
        List<String> differences = CountsFile.differences(accepted, counted);
        differences.forEach(line -> System.out.println("CHANGED " + line));
        System.out.println(counted.size() + " counts, " + differences.size() + " not as accepted"
                + (differences.isEmpty() ? "" : "\n  if they are meant: scripts/bench --counts --accept, and say why"));
        return differences.isEmpty() ? 0 : 1;
    }
}
