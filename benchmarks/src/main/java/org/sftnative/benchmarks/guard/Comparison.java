package org.sftnative.benchmarks.guard;

import java.util.Comparator;
import java.util.Map;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/// All rows of a base and a candidate, judged.
///
/// @param verdicts by row
public record Comparison(SortedMap<String, Verdict> verdicts) {
    /// Judges every row of either side; one that the other side lacks is INVALID, never passed over.
    public static Comparison of(SortedMap<String, Row> base, SortedMap<String, Row> candidate) {
        SortedSet<String> names = new TreeSet<>(base.keySet());
        names.addAll(candidate.keySet());
        SortedMap<String, Verdict> verdicts = new TreeMap<>();
        for (String name : names) {
            verdicts.put(name, verdict(base.get(name), candidate.get(name)));
        }
        return new Comparison(verdicts);
    }

    private static Verdict verdict(Row base, Row candidate) {
        if (base == null) {
            return Verdict.invalid("only the candidate has it");
        }
        if (candidate == null) {
            return Verdict.invalid("only the base has it");
        }
        Verdict time = Verdict.of(base.seconds(), candidate.seconds());
        Double before = base.secondary().get(Results.PEAK_BYTES);
        Double after = candidate.secondary().get(Results.PEAK_BYTES);
        if ((before == null) != (after == null)) {
            return Verdict.invalid("only the " + (after == null ? "base" : "candidate") + " has " + Results.PEAK_BYTES);
        }
        if (after != null && after > before) {
            return new Verdict(
                    Verdict.Kind.REGRESSED,
                    time.ratio(),
                    time.low(),
                    time.high(),
                    "peak of allocated bytes %.0f, was %.0f".formatted(after, before));
        }
        return time;
    }

    /// 0: nothing regressed. 1: something did. 2: something could not be judged.
    public int status() {
        if (verdicts.isEmpty()) {
            return 2;
        }
        Verdict.Kind worst = verdicts.values().stream()
                .map(Verdict::kind)
                .min(Comparator.naturalOrder())
                .orElseThrow();
        return switch (worst) {
            case REGRESSED -> 1;
            case INVALID -> 2;
            case IMPROVED, NO_CLEAR_CHANGE -> 0;
        };
    }

    /// A line a row, the worst first.
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        verdicts.entrySet().stream()
                .sorted(Comparator.comparing(
                        (Map.Entry<String, Verdict> e) -> e.getValue().kind()))
                .forEach(e -> text.append(line(e.getKey(), e.getValue())));
        return text.toString();
    }

    private static String line(String name, Verdict v) {
        String kind = v.kind() == Verdict.Kind.NO_CLEAR_CHANGE
                ? "no clear change"
                : v.kind() == Verdict.Kind.INVALID ? "invalid" : v.kind().name();
        String ratio = Double.isNaN(v.ratio())
                ? ""
                : " time x %.3f (%.3f to %.3f at 99%%)".formatted(v.ratio(), v.low(), v.high());
        return "%-15s %s%s%s%n".formatted(kind, name, ratio, v.reason().isEmpty() ? "" : ": " + v.reason());
    }
}
