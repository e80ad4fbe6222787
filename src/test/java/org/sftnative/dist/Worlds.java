package org.sftnative.dist;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.config.DistSettings;
import org.sftnative.tensor.Scopes;

/// The ranks of a run as threads of this process.
public final class Worlds {
    public static final DistSettings SETTINGS =
            new DistSettings(DistSettings.DEFAULT.sharding(), DistSettings.DEFAULT.ddpBackend(), 60, 20, 30);

    private static final int PATIENCE_SECONDS = 120;

    /// What all ranks do together.
    private static final Set<String> MEETINGS = Set.of(
            "exchange",
            "barrier",
            "sum",
            "sumFor",
            "copyFrom",
            "broadcast",
            "reduceScatter",
            "allGather",
            "first",
            "agree");

    private Worlds() {}

    /// A rank that sends what it began at the last moment, when it waits for the end: what was written in
    /// between is sent, and what was read in between is old.
    public static World late(World world) {
        return sending(world, (_, begin, tensor) -> {
            Tensor kept = Scopes.keep(tensor::detach);
            return () -> {
                begin.apply(kept).await();
                Scopes.free(kept);
            };
        });
    }

    /// A rank that sends what it begins at once.
    public static World atOnce(World world) {
        return sending(world, (_, begin, tensor) -> {
            begin.apply(tensor).await();
            return () -> {};
        });
    }

    /// How something is sent.
    public interface Sent {
        /// @param what `sumFor` or `copyFrom`
        World.Sending begin(String what, Function<Tensor, World.Sending> begin, Tensor tensor);
    }

    /// A rank that sends in another way.
    public static World sending(World world, Sent sent) {
        return (World) Proxy.newProxyInstance(
                World.class.getClassLoader(), new Class<?>[] {World.class}, (_, method, arguments) -> {
                    if (method.getReturnType() != World.Sending.class) {
                        return method.invoke(world, arguments);
                    }
                    int rank = (int) arguments[0];
                    boolean copy = method.getName().equals("copyFrom");
                    Function<Tensor, World.Sending> begin =
                            tensor -> copy ? world.copyFrom(rank, tensor) : world.sumFor(rank, tensor);
                    return sent.begin(method.getName(), begin, (Tensor) arguments[1]);
                });
    }

    /// What a rank does.
    public interface Rank<T> {
        T run(World world) throws Exception;
    }

    /// Runs all ranks to their end.
    ///
    /// @return by rank
    /// @throws ExecutionException of the first rank that failed; others may still wait for it
    /// @throws AssertionError if one does not end, saying where each waits
    public static <T> List<T> run(int size, Rank<T> work) throws Exception {
        int port = Place.freePort();
        BlockingQueue<Future<T>> ended = new LinkedBlockingQueue<>();
        Map<Integer, String> meetings = new ConcurrentHashMap<>();
        List<Thread> threads = new ArrayList<>();
        List<Future<T>> ranks = new ArrayList<>();
        for (int rank = 0; rank < size; rank++) {
            Place place = Place.local(rank, size, port);
            FutureTask<T> task =
                    new FutureTask<>(() -> {
                        try (World world = Rendezvous.join(place, SETTINGS, fault -> {})) {
                            T result = work.run(checked(world, meetings));
                            world.barrier();
                            return result;
                        }
                    }) {
                        @Override
                        protected void done() {
                            ended.add(this);
                        }
                    };
            ranks.add(task);
            threads.add(Thread.ofPlatform().daemon().name("rank " + rank).start(task));
        }
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        for (int i = 0; i < size; i++) {
            Future<T> rank = ended.poll(until - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (rank == null) {
                throw new AssertionError(waiting(threads));
            }
            rank.get();
        }
        return ranks.stream().map(Future::resultNow).toList();
    }

    /// Ranks that do different things when they meet would wait for one another, or end the process in native
    /// code: here, whoever comes second fails.
    ///
    /// @param meetings what each was, by number
    private static World checked(World world, Map<Integer, String> meetings) {
        AtomicInteger number = new AtomicInteger();
        return (World) Proxy.newProxyInstance(
                World.class.getClassLoader(), new Class<?>[] {World.class}, (_, method, arguments) -> {
                    if (MEETINGS.contains(method.getName())) {
                        String mine = method.getName() + sizes(arguments);
                        String theirs = meetings.putIfAbsent(number.incrementAndGet(), mine);
                        if (theirs != null && !theirs.equals(mine)) {
                            throw new AssertionError("meeting " + number + " is " + mine + " on rank " + world.rank()
                                    + ", and " + theirs + " on another");
                        }
                    }
                    try {
                        return method.invoke(world, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private static String sizes(Object[] arguments) {
        return arguments == null
                ? ""
                : Arrays.stream(arguments)
                        .map(argument -> switch (argument) {
                            case Tensor tensor -> "" + tensor.numel();
                            case double[] numbers -> "" + numbers.length;
                            case Integer rank -> "" + rank;
                            default -> "words";
                        })
                        .collect(Collectors.joining(", ", " of ", ""));
    }

    private static String waiting(List<Thread> threads) {
        return "ranks wait for one another in different places, " + PATIENCE_SECONDS + " s after their start"
                + threads.stream()
                        .filter(Thread::isAlive)
                        .map(thread -> "\n  " + thread.getName() + ": "
                                + Arrays.stream(thread.getStackTrace())
                                        .filter(frame -> frame.getClassName().startsWith("org.sftnative"))
                                        .filter(frame -> !frame.getClassName().contains(".dist."))
                                        .limit(2)
                                        .map(StackTraceElement::toString)
                                        .collect(Collectors.joining(", called by ")))
                        .collect(Collectors.joining());
    }
}
