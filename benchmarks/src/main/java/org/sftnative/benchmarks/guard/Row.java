package org.sftnative.benchmarks.guard;

import java.util.List;
import java.util.SortedMap;

/// One benchmark with its parameters, as measured in some forks.
///
/// @param name `TrainStep.run[engine=fused,workload=BASE]`
/// @param seconds of an operation, a value a fork (see [Results]); in the order in which the forks ran
/// @param secondary other figures: tokens per second, peak bytes; means over all forks
public record Row(String name, List<Double> seconds, SortedMap<String, Double> secondary) {
    /// @throws BadResults if a time is missing, not finite or not positive
    public Row {
        seconds = List.copyOf(seconds);
        if (seconds.isEmpty()) {
            throw new BadResults(name + " has no result");
        }
        for (double s : seconds) {
            if (!(s > 0) || Double.isInfinite(s)) {
                throw new BadResults(name + " has a time of " + s + " s");
            }
        }
    }
}
