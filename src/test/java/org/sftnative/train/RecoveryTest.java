package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.sftnative.data.Step;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;

/// What the ranks of a run that has diverged say, and when.
class RecoveryTest {
    /// Rank 0's checkpoint takes a while to be written, which the other rank must not cut short by failing first.
    @Test
    void ranksThatDivergeWaitForTheCheckpointAndAllNameIt() throws Exception {
        List<String> said = Worlds.run(2, world -> {
            long began = System.nanoTime();
            Recovery recovery = new Recovery(hooks(world), _ -> {}, 0, 10, world);
            DivergedException e =
                    assertThrows(DivergedException.class, () -> recovery.rollBack(RunState.START, "a spike"));
            assertTrue(System.nanoTime() - began > 300_000_000L, "rank " + world.rank() + " did not wait");
            return e.getMessage();
        });
        for (String message : said) {
            assertTrue(message.contains("the last good checkpoint is checkpoint-4"), message);
        }
    }

    /// A rank without rows has no micro-batch that could be too large.
    @Test
    void aFailureThatIsNotForLackOfMemoryStaysWhatItIs() {
        RuntimeException failure = new IllegalStateException("ranks did not meet");
        Step none = new Step(List.of(), 3, 30, 10);
        assertSame(failure, assertThrows(IllegalStateException.class, () -> Recovery.tooLarge(none, failure)));
    }

    private static TrainLoop.Hooks hooks(World world) {
        return new NoHooks() {
            @Override
            public Optional<Path> lastGood() {
                if (!world.leads()) {
                    return Optional.empty();
                }
                try {
                    Thread.sleep(350);
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
                return Optional.of(Path.of("checkpoint-4"));
            }
        };
    }
}
