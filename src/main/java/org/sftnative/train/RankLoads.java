package org.sftnative.train;

import java.util.Arrays;
import java.util.Optional;
import org.sftnative.data.Step;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;

/// What the ranks of a run did between two logged steps: counted on each, told on all.
final class RankLoads {
    private final World world;
    private long tokens;
    private long since = System.nanoTime();
    private World.Spent spent;

    RankLoads(World world) {
        this.world = world;
        this.spent = world.spent();
    }

    /// Counts this rank's part of a step.
    void trained(Step step) {
        for (int i = 0; i < step.microBatches().size(); i++) {
            tokens += step.microBatches().get(i).tokens();
        }
    }

    /// A meeting of all ranks; absent in a run of one process.
    Optional<RunEvent.Shared> told(long step) {
        if (world.size() == 1) {
            return Optional.empty();
        }
        long now = System.nanoTime();
        double nanos = now - since;
        World.Spent all = world.spent();
        double[][] ranks = world.exchange(
                1e9 * tokens / nanos,
                (all.waitingNanos() - spent.waitingNanos()) / nanos,
                (all.sendingNanos() - spent.sendingNanos()) / nanos);
        tokens = 0;
        since = now;
        spent = all;
        return Optional.of(new RunEvent.Shared(
                step,
                Arrays.stream(ranks)
                        .map(r -> new RunEvent.Load(r[0], r[1], r[2]))
                        .toList()));
    }
}
