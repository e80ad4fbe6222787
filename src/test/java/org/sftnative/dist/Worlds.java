package org.sftnative.dist;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.config.DistSettings;
import org.sftnative.tensor.Scopes;

/// The ranks of a run as threads of this process.
public final class Worlds {
    public static final DistSettings SETTINGS =
            new DistSettings(DistSettings.DEFAULT.sharding(), DistSettings.DEFAULT.ddpBackend(), 60, 20, 30);

    private Worlds() {}

    /// A rank that sends what it began at the last moment, when it waits for the end: what was written in
    /// between is sent.
    public static World late(World world) {
        return (World) Proxy.newProxyInstance(
                World.class.getClassLoader(), new Class<?>[] {World.class}, (_, method, arguments) -> {
                    if (!method.getName().equals("sumFor")) {
                        return method.invoke(world, arguments);
                    }
                    Tensor tensor = Scopes.keep(((Tensor) arguments[1])::detach);
                    return (World.Sending) () -> {
                        world.sumFor((int) arguments[0], tensor).await();
                        Scopes.free(tensor);
                    };
                });
    }

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
