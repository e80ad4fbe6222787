package org.sftnative.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.optim.Updates.assertSame;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Device;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AtenOps;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Lane;
import org.sftnative.tensor.Mark;

/// A state that is updated piece by piece ends bit for bit as one that is updated at once.
class OffloadTest {
    private static final Device CPU = Devices.cpu();
    private static final Offload.Lanes AT_ONCE = Offload.Lanes.of(CPU);

    /// Five blocks and a part of one, decayed to the middle of the fourth.
    private static final int N = 5 * 256 + 72;

    private static final Updates UPDATES = new Updates(JavaAdamW.ops(), CPU, N, 3 * 256 + 136);

    @ParameterizedTest
    @EnumSource
    void everyModeInPiecesOfEverySize(Masters masters) {
        for (Moments moments : Moments.values()) {
            Updates updates = UPDATES.of(masters, moments);
            for (int n : new int[] {N, 4 * 256, 256, 8}) {
                Updates here = updates.elements(n);
                Map<String, byte[]> expected = here.train();
                for (long piece : new long[] {256, 512, 1024, Offload.PIECE}) {
                    assertSame(expected, here.in(piece, AT_ONCE).train(), masters + " " + moments + " " + piece);
                }
            }
        }
    }

    @Test
    void theCpusOwnUpdateToo() {
        Updates updates = new Updates(new AtenOps(), CPU, N, 3 * 256 + 136);
        for (Masters masters : List.of(Masters.FP32, Masters.SPLIT, Masters.NONE)) {
            Updates here = updates.of(masters, Moments.FP32);
            assertSame(here.train(), here.in(256, AT_ONCE).train(), "" + masters);
        }
    }

    /// Of three lanes, one does all it may before the next does anything.
    @ParameterizedTest
    @ValueSource(strings = {"in work out", "in out work", "work in out", "work out in", "out in work", "out work in"})
    void whicheverLaneIsFirst(String order) {
        Updates updates = UPDATES.of(Masters.SPLIT, Moments.BLOCK8);
        Updates late = updates.in(256, new LateLanes(order).lanes());
        assertSame(updates.train(), late.train(), order);
    }

    /// Groups end within pieces, and pieces within groups.
    @ParameterizedTest
    @ValueSource(longs = {256, 512, 1024})
    void everyGroupHasItsRate(long piece) {
        Updates updates = UPDATES.of(Masters.FP32, Moments.FP32)
                .at(List.of(new RateGroup(0, 320, 1), new RateGroup(320, 1216, 16), new RateGroup(1216, N, 0.5)));
        Map<String, byte[]> expected = updates.train();
        for (RateGroup group : updates.groups()) { // as where all have that rate
            byte[] alike = updates.at(List.of(new RateGroup(0, N, group.ratio())))
                    .train()
                    .get("weights");
            int from = Float.BYTES * (int) group.from();
            int to = Float.BYTES * (int) group.to();
            assertArrayEquals(
                    Arrays.copyOfRange(alike, from, to), Arrays.copyOfRange(expected.get("weights"), from, to));
        }
        assertSame(expected, updates.in(piece, AT_ONCE).train(), "at once");
        Updates late = updates.in(piece, new LateLanes("out in work").lanes());
        assertSame(expected, late.train(), "late");
    }

    /// The last of three parts is longer than the others; of seven, all but the last are empty.
    @ParameterizedTest
    @CsvSource({"ZERO1, 3", "ZERO2, 3", "ZERO1, 7"})
    void everyRankItsPart(ShardingChoice sharding, int ranks) throws Exception {
        for (Moments moments : Moments.values()) {
            Updates updates = UPDATES.of(Masters.SPLIT, moments).sharing(sharding);
            List<Map<String, byte[]>> expected = Worlds.run(ranks, updates::train);
            List<Map<String, byte[]>> actual = Worlds.run(ranks, updates.in(256, AT_ONCE)::train);
            for (int rank = 0; rank < ranks; rank++) {
                assertSame(expected.get(rank), actual.get(rank), moments + ", rank " + rank);
            }
        }
    }

    /// Three updates on the card, one that is skipped and three from the host, and the other way about.
    @Test
    void aCheckpointOfEitherIsGoneOnFromByTheOther() {
        for (Moments moments : Moments.values()) {
            Updates resident = UPDATES.of(Masters.STOCHASTIC, moments);
            Updates offloaded = resident.in(512, AT_ONCE);
            Map<String, byte[]> expected = resident.train();
            assertSame(expected, offloaded.trainAfter(resident), moments + " from the card");
            assertSame(expected, resident.trainAfter(offloaded), moments + " from the host");
            assertSame(expected, offloaded.trainAfter(offloaded), moments + " from host to host");
        }
    }

    @Test
    void twoPiecesAreHeldBesideTheWeightsAndNoMoreThanThereAre() {
        assertEquals(2 * 512 * (4 + 4 + 2), bufferBytes(Masters.SPLIT, Moments.FP32, 512));
        assertEquals(2 * (512 * (1 + 1 + 2) + 2 * 2 * 4), bufferBytes(Masters.SPLIT, Moments.BLOCK8, 512));
        assertEquals(2 * N * (2 + 2), bufferBytes(Masters.NONE, Moments.BF16, Offload.PIECE));
    }

    private static long bufferBytes(Masters masters, Moments moments, long piece) {
        return UPDATES.of(masters, moments)
                .in(piece, AT_ONCE)
                .with(World.ALONE, optimizer -> optimizer.bufferBytes().orElseThrow());
    }

    /// Lanes that do nothing before they must, and then, but for what is waited for, as much as they
    /// can: in an order.
    private static final class LateLanes {
        private final Map<String, Late> lanes = new HashMap<>();
        private final List<Late> order = new ArrayList<>();
        private final Map<Mark, Task> set = new HashMap<>();

        LateLanes(String order) {
            for (String name : order.split(" ")) {
                lanes.put(name, new Late());
                this.order.add(lanes.get(name));
            }
        }

        Offload.Lanes lanes() {
            return new Offload.Lanes(lanes.get("in"), lanes.get("work"), lanes.get("out"));
        }

        private record Task(Late on, Task after, Runnable work) {}

        private final class Late implements Lane {
            private final Deque<Task> tasks = new ArrayDeque<>();

            @Override
            public void run(Mark after, Runnable work, Mark done) {
                Task task = new Task(this, set.get(after), work);
                tasks.add(task);
                set.put(done, task);
            }

            @Override
            public void await() {
                order.forEach(lane -> lane.upTo(null));
            }

            /// @param last the last one to do; null: all
            private void upTo(Task last) {
                while (!tasks.isEmpty() && (last == null || tasks.contains(last))) {
                    Task next = tasks.peek();
                    if (next.after != null) {
                        next.after.on.upTo(next.after);
                    }
                    tasks.remove();
                    next.work.run();
                }
            }
        }
    }
}
