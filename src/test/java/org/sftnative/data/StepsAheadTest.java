package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.sftnative.data.Fixtures.dataset;
import static org.sftnative.data.Fixtures.document;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class StepsAheadTest {
    private static final int TOKENS = 16;
    private static final List<Document> ROWS =
            IntStream.range(0, 10).mapToObj(i -> document(i, 2 + i)).toList();

    private final Map<Step, Thread> makers = new ConcurrentHashMap<>();
    private final BlockingQueue<Long> made = new LinkedBlockingQueue<>();

    /// A step that says which one it is.
    private Step make(long index, int tokens) {
        Step step = new Step(List.of(), (int) index, tokens, 1);
        makers.put(step, Thread.currentThread());
        made.add(index);
        return step;
    }

    private void assertMade(long index) throws InterruptedException {
        assertEquals(index, made.poll(10, TimeUnit.SECONDS));
    }

    @Test
    void theNextStepIsMadeOnAnotherThreadBeforeItIsAskedFor() throws InterruptedException {
        StepsAhead steps = new StepsAhead(this::make, 3);
        assertSame(Thread.currentThread(), makers.get(steps.step(0, TOKENS)));
        assertMade(0);
        assertMade(1);
        assertNotEquals(Thread.currentThread(), makers.get(steps.step(1, TOKENS)));
        assertMade(2); // and 1 not once more
        assertEquals(2, steps.step(2, TOKENS).rows());
        assertEquals(null, made.poll(50, TimeUnit.MILLISECONDS), "there is no step beyond the last");
    }

    @Test
    void whateverIsAskedForIsGiven() {
        StepPlan plan = new StepPlan(dataset(ROWS), 3, TOKENS, 7, true);
        StepsAhead steps = new StepsAhead(plan, 100);
        for (long index : new long[] {0, 1, 2, 3, 4, 2, 3, 9, 8, 8, 99, 0}) { // a run that goes back, or repeats a step
            for (int tokens : new int[] {TOKENS, TOKENS, 8}) {
                assertEquals(ids(plan.step(index, tokens)), ids(steps.step(index, tokens)));
            }
        }
    }

    private static List<List<Integer>> ids(Step step) {
        return step.microBatches().stream()
                .map(m -> Arrays.stream(m.inputIds()).boxed().toList())
                .toList();
    }

    @Test
    void whatFailsOnTheOtherThreadFailsWhereItIsAskedFor() {
        StepsAhead steps = new StepsAhead(
                (index, tokens) -> {
                    if (index == 1) {
                        throw new IllegalStateException("step 1");
                    }
                    return make(index, tokens);
                },
                3);
        steps.step(0, TOKENS);
        assertEquals(
                "step 1",
                assertThrows(IllegalStateException.class, () -> steps.step(1, TOKENS))
                        .getMessage());
    }
}
