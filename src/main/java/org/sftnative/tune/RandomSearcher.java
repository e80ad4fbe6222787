package org.sftnative.tune;

import java.util.List;
import java.util.Map;
import org.sftnative.InputException;

/// Draws each trial's settings on their own, as Ray's BasicVariantGenerator does: a `grid_search` is tried whole with
/// every sample.
public final class RandomSearcher implements Searcher {
    private final SearchSpace space;
    private final long seed;

    public RandomSearcher(SearchSpace space, long seed) {
        this.space = space;
        this.seed = seed;
    }

    @Override
    public int trials(int numSamples) {
        long trials = (long) numSamples * space.gridCells().size();
        if (numSamples < 1 || trials > 10_000_000) {
            throw new InputException("num_samples is " + numSamples + ", and the grid has "
                    + space.gridCells().size() + " combinations: " + trials + " trials\n  must be from 1 to 10000000");
        }
        return (int) trials;
    }

    @Override
    public Map<String, Object> suggest(int trial, List<Trial> history) {
        return space.sample(seed, trial);
    }
}
