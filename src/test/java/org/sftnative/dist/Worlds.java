package org.sftnative.dist;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.sftnative.config.DistSettings;

/// The ranks of a run as threads of this process.
public final class Worlds {
    public static final DistSettings SETTINGS =
            new DistSettings(DistSettings.DEFAULT.sharding(), DistSettings.DEFAULT.ddpBackend(), 60, 20, 30);

    private Worlds() {}

    /// What a rank does.
    public interface Rank<T> {
        T run(World world) throws Exception;
    }

    /// Runs all ranks to their end.
    ///
    /// @return by rank
    public static <T> List<T> run(int size, Rank<T> work) throws Exception {
        int port = Place.freePort();
        List<T> results = new ArrayList<>();
        try (ExecutorService threads =
                Executors.newThreadPerTaskExecutor(Thread.ofPlatform().daemon().factory())) {
            List<Future<T>> ranks = new ArrayList<>();
            for (int rank = 0; rank < size; rank++) {
                Place place = Place.local(rank, size, port);
                ranks.add(threads.submit(() -> {
                    try (World world = Rendezvous.join(place, SETTINGS, fault -> {})) {
                        T result = work.run(world);
                        world.barrier();
                        return result;
                    }
                }));
            }
            for (Future<T> rank : ranks) {
                results.add(rank.get(120, TimeUnit.SECONDS));
            }
        }
        return results;
    }
}
