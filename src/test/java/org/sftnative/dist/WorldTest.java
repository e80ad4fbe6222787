package org.sftnative.dist;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.config.DistSettings;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// Ranks as threads of one process: what they exchange, and how they meet or do not.
class WorldTest {
    private static final DistSettings HASTY =
            new DistSettings(DistSettings.DEFAULT.sharding(), DistSettings.DEFAULT.ddpBackend(), 3, 2, 30);

    @Test
    void sumsAndBroadcastsAreTheSameBitsOnEveryRank() throws Exception {
        List<float[]> all = Worlds.run(3, world -> {
            try (PointerScope _ = new PointerScope()) {
                float[] mine = new float[1001];
                for (int i = 0; i < mine.length; i++) {
                    mine[i] = (float) Math.sin(i * (world.rank() + 1));
                }
                Tensor sum = Tensors.ofFloats(mine, Devices.cpu(), mine.length);
                world.sum(sum);
                Tensor first = Tensors.ofFloats(mine, Devices.cpu(), mine.length);
                world.broadcast(first);
                return Tensors.floats(
                        org.bytedeco.pytorch.global.torch.stack(new org.bytedeco.pytorch.TensorVector(sum, first)));
            }
        });
        assertArrayEquals(all.get(0), all.get(1));
        assertArrayEquals(all.get(0), all.get(2));
        for (int i = 0; i < 1001; i++) {
            assertEquals(Math.sin(i) + Math.sin(2 * i) + Math.sin(3 * i), all.get(0)[i], 1e-6);
            assertEquals((float) Math.sin(i), all.get(0)[1001 + i]);
        }
    }

    /// 1 + 3 x 2^-8 is 1.01171875, which bf16 has as 1.015625; summed in bf16, each 2^-8 beside 1 is
    /// lost.
    @Test
    void bf16IsSummedInFp32() throws Exception {
        List<float[]> all = Worlds.run(4, world -> {
            try (PointerScope _ = new PointerScope()) {
                float mine = world.rank() == 0 ? 1 : 0x1p-8f;
                Tensor sum = Tensors.ofFloats(new float[] {mine, mine}, Devices.cpu(), 2)
                        .to(ScalarType.BFloat16);
                world.sum(sum);
                return Tensors.floats(sum);
            }
        });
        all.forEach(sum -> assertArrayEquals(new float[] {1.015625f, 1.015625f}, sum));
    }

    /// Lengths that leave the last rank more than the others, and the others nothing.
    @Test
    void scatteredSumsGatheredAreTheSum() throws Exception {
        for (int n : new int[] {3 * 256 * 5 + 77, 300, 40_000}) {
            List<float[]> all = Worlds.run(3, world -> {
                try (PointerScope _ = new PointerScope()) {
                    float[] mine = new float[n];
                    for (int i = 0; i < n; i++) {
                        mine[i] = (i % 97) * (world.rank() + 1);
                    }
                    Tensor flat = Tensors.ofFloats(mine, Devices.cpu(), n);
                    world.reduceScatter(flat);
                    Part part = Part.of(n, world.rank(), 3);
                    Tensor only = Tensors.zeros(ScalarType.Float, Devices.cpu(), n);
                    only.narrow(0, part.from(), part.count()).copy_(flat.narrow(0, part.from(), part.count()));
                    world.allGather(only);
                    return Tensors.floats(only);
                }
            });
            for (float[] sum : all) {
                for (int i = 0; i < n; i++) {
                    assertEquals(6f * (i % 97), sum[i]);
                }
            }
        }
    }

    /// Begun one after another, and awaited the other way round.
    @Test
    void everyRankGetsACopyOfWhatTheOneThatIsNamedHas() throws Exception {
        for (ScalarType type : List.of(ScalarType.Float, ScalarType.BFloat16)) {
            List<float[]> all = Worlds.run(3, world -> {
                try (PointerScope _ = new PointerScope()) {
                    Tensor tensor = Tensors.ofFloats(new float[3000], Devices.cpu(), 3, 1000)
                            .add(new Scalar(world.rank() + 1))
                            .to(type);
                    List<World.Sending> begun = new ArrayList<>();
                    for (int rank = 0; rank < 3; rank++) {
                        begun.add(world.copyFrom(rank, tensor.select(0, rank)));
                    }
                    begun.reversed().forEach(World.Sending::await);
                    return Tensors.floats(tensor);
                }
            });
            for (float[] rank : all) {
                for (int i = 0; i < 3000; i++) {
                    assertEquals(i / 1000 + 1, rank[i]);
                }
            }
        }
    }

    @Test
    void numbersOfEveryRankReachEveryRank() throws Exception {
        for (double[][] all : Worlds.run(3, world -> world.exchange(world.rank(), 0.1 * world.rank()))) {
            assertArrayEquals(new double[][] {{0, 0}, {1, 0.1}, {2, 0.2}}, all);
            assertEquals(3, World.sum(all, 0));
            assertEquals(0.2, World.max(all, 1));
        }
        assertArrayEquals(new double[][] {{7}}, World.ALONE.exchange(7));
    }

    @Test
    void aRankThatDiffersIsRefusedWithBothValuesAndTheOthersLearnWhy() throws Exception {
        List<String> said = failures(2, HASTY, rank -> place -> place, world -> {
            world.agree("settings", Map.of("seed", "42", "learning_rate", world.rank() == 0 ? "1e-5" : "2e-5"));
            world.barrier();
        });
        assertTrue(
                said.get(1)
                        .matches("(?s)rank 1 \\(.*\\) has other settings than rank 0\n"
                                + "  learning_rate: 2e-5, rank 0 has 1e-5\n  start all ranks .*"),
                said.get(1));
        assertEquals("rank 1: " + said.get(1), said.get(0));
    }

    @Test
    void ranksThatDoNotComeAreNamedInTime() throws Exception {
        long began = System.nanoTime();
        int port = Place.freePort();
        String said = refused(Place.local(0, 3, port));
        assertTrue(said.startsWith("ranks 1, 2 of 3 did not come within 2 s"), said);
        said = refused(Place.local(1, 2, Place.freePort()));
        assertTrue(said.startsWith("rank 0 does not answer at 127.0.0.1:"), said);
        assertTrue(System.nanoTime() - began < 15e9);
    }

    @Test
    void aPortInUseIsToldWithWhatToSet() throws Exception {
        try (ServerSocket other = new ServerSocket(0)) {
            String said = refused(Place.local(0, 2, other.getLocalPort()));
            assertTrue(said.startsWith("port " + other.getLocalPort() + " of this machine cannot be served"), said);
            assertTrue(said.contains("MASTER_PORT"), said);
            // a service that is none of ours says nothing
            said = refused(Place.local(1, 2, other.getLocalPort()));
            assertTrue(said.contains("is no rank 0 of a run"), said);
        }
    }

    @Test
    void aRankThatComesTwiceAndAnotherNumberOfRanksAreTold() throws Exception {
        List<String> twice = failures(3, HASTY, rank -> place -> rank == 2 ? at(1, 3, place) : place, World::barrier);
        assertTrue(twice.getFirst().startsWith("rank 1 of 3 came twice: from "), twice.toString());
        List<String> other = failures(2, HASTY, rank -> place -> rank == 1 ? at(1, 3, place) : place, World::barrier);
        assertTrue(other.get(1).matches("(?s)rank 1 \\(.*\\) has WORLD_SIZE 3, rank 0 has 2\n.*"), other.toString());
        assertEquals(other.get(1), other.get(0));
    }

    private static Place at(int rank, int size, Place place) {
        return Place.local(rank, size, place.port());
    }

    private static String refused(Place place) {
        return assertThrows(RuntimeException.class, () -> Rendezvous.join(place, HASTY, _ -> {}))
                .getMessage();
    }

    private interface Placing {
        java.util.function.UnaryOperator<Place> of(int rank);
    }

    private interface Work {
        void run(World world) throws Exception;
    }

    /// What each rank throws: an exception ends it, and the others are told.
    private static List<String> failures(int size, DistSettings settings, Placing placing, Work work) throws Exception {
        int port = Place.freePort();
        List<String> said = new ArrayList<>();
        try (ExecutorService threads = Executors.newCachedThreadPool()) {
            List<Future<String>> ranks = Stream.iterate(0, rank -> rank < size, rank -> rank + 1)
                    .map(rank -> threads.submit(() -> {
                        Place place = placing.of(rank).apply(Place.local(rank, size, port));
                        World world = Rendezvous.join(place, settings, _ -> {});
                        try {
                            work.run(world);
                        } catch (Exception e) {
                            world.failed(e.getMessage());
                            world.close();
                            throw e;
                        }
                        return "";
                    }))
                    .toList();
            for (Future<String> rank : ranks) {
                ExecutionException e = assertThrows(ExecutionException.class, rank::get);
                assertTrue(
                        e.getCause() instanceof InputException || e.getCause() instanceof RanksException,
                        () -> e.getCause().toString());
                said.add(e.getCause().getMessage());
            }
        }
        return said;
    }
}
