package org.sftnative.data;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/// The steps of a plan, of which the next one is made on another thread while one is trained.
public final class StepsAhead {
    private final Maker maker;
    private final long totalSteps;
    private Optional<Next> next = Optional.empty();

    /// Makes steps, on several threads.
    interface Maker {
        Step step(long index, int tokens);
    }

    private record Next(long index, int tokens, CompletableFuture<Step> made) {}

    /// @param totalSteps of the run
    public StepsAhead(StepPlan plan, long totalSteps) {
        this(plan::step, totalSteps);
    }

    StepsAhead(Maker maker, long totalSteps) {
        this.maker = maker;
        this.totalSteps = totalSteps;
    }

    /// As of [StepPlan#step].
    public Step step(long index, int tokens) {
        Step step = next.filter(n -> n.index == index && n.tokens == tokens)
                .map(n -> n.made.exceptionally(_ -> null).join()) // what failed there is made here, and fails here
                .orElseGet(() -> maker.step(index, tokens));
        next = Optional.of(index + 1)
                .filter(i -> i < totalSteps)
                .map(i -> new Next(i, tokens, CompletableFuture.supplyAsync(() -> maker.step(i, tokens))));
        return step;
    }
}
