package org.sftnative.dist;

import java.io.IOException;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.bytedeco.javacpp.chrono.Milliseconds;
import org.bytedeco.pytorch.PrefixStore;
import org.bytedeco.pytorch.Store;
import org.bytedeco.pytorch.StringVector;
import org.bytedeco.pytorch.TCPStore;
import org.bytedeco.pytorch.TCPStoreOptions;
import org.sftnative.InputException;
import org.sftnative.tensor.Scopes;

/// The key-value store where the ranks of a run meet: torch's TCPStore, which rank 0 or torchrun
/// serves. A native call that waits cannot be bounded or woken from here, so the port is tried first,
/// and a server that is none is found out.
final class MeetingPoint {
    private static final long PAUSE_MS = 100;

    private static final long LEAST_MS = 5000;

    private final Place place;
    private final long timeoutMs;
    private final long until;
    private final TCPStore store;

    /// Serves it, or connects to it as soon as it is there.
    ///
    /// @throws InputException if the port is in use
    /// @throws RanksException if nobody serves it in time
    MeetingPoint(Place place, int seconds) {
        this.place = place;
        this.timeoutMs = seconds * 1000L;
        this.until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMs);
        boolean serves = place.rank() == 0 && !place.served();
        if (serves) {
            checkPort();
        } else {
            awaitPort();
        }
        this.store = connect(serves);
    }

    private void checkPort() {
        try (ServerSocket socket = new ServerSocket()) {
            socket.setReuseAddress(true); // as torch does: a port whose last connections linger is free
            socket.bind(new InetSocketAddress(place.port()));
        } catch (IOException e) {
            throw new InputException("port " + place.port() + " of this machine cannot be served: " + e.getMessage()
                    + "\n  another run may use it: choose another with MASTER_PORT, or --master-port of the launcher");
        }
    }

    private void awaitPort() {
        while (true) {
            try (Socket socket = new Socket()) {
                // looked up each time: a cluster's names come after its machines
                socket.connect(new InetSocketAddress(place.host(), place.port()), 2000);
                return;
            } catch (IOException e) {
                if (System.nanoTime() > until) {
                    throw new RanksException(
                            "rank 0 does not answer at " + place.host() + ":" + place.port() + " ("
                                    + reason(e) + ")\n  is it started, and is that its host (MASTER_ADDR)?"
                                    + " --rendezvous-timeout is how long it may take",
                            e);
                }
            }
            sleep();
        }
    }

    private static String reason(IOException e) {
        return e instanceof java.net.UnknownHostException ? "unknown host" : e.getMessage();
    }

    private TCPStore connect(boolean serves) {
        FutureTask<TCPStore> connecting = new FutureTask<>(() -> Scopes.give(new TCPStore(
                place.host(),
                new TCPStoreOptions()
                        .port((short) place.port())
                        .isServer(serves)
                        .waitWorkers(false)
                        .timeout(new Milliseconds(timeoutMs)))));
        Thread.ofPlatform().name("store").daemon().start(connecting);
        try {
            return connecting.get(Math.max(leftMs(), LEAST_MS), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw new RanksException(
                    "whatever serves " + place.host() + ":" + place.port() + " is no rank 0 of a run"
                            + "\n  choose another port with MASTER_PORT, or --master-port of the launcher",
                    e);
        } catch (ExecutionException e) {
            throw new RanksException(
                    "no store at " + place.host() + ":" + place.port() + ": " + firstLine(e.getCause()), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /// A connection of its own for a process group, which takes it over: the presets let each store be
    /// handed on once.
    Store forGroup(String name) {
        return Scopes.give(new PrefixStore(key(name), connect(false)));
    }

    /// What rank 0 has to say, waited for as long as the rendezvous may take.
    String get(String name) {
        return get(name, leftMs());
    }

    String get(String name, long ms) {
        try {
            store.setTimeout(new Milliseconds(ms));
            return store.get_to_str(key(name));
        } catch (RuntimeException e) {
            boolean waited = firstLine(e).contains("timeout");
            throw new RanksException(
                    waited ? "rank 0 did not go on within " + ms / 1000 + " s" : "rank 0 is gone: " + firstLine(e), e);
        }
    }

    /// Without waiting.
    boolean has(String name) {
        return store.check(new StringVector(key(name)));
    }

    void set(String name, String value) {
        store.set(key(name), value);
    }

    /// Sets what nobody has set.
    ///
    /// @return what is there now
    String claim(String name, String value) {
        return store.compareSet(key(name), "", value);
    }

    private String key(String name) {
        return "sft/" + place.attempt() + "/" + name;
    }

    boolean late() {
        return System.nanoTime() > until;
    }

    private long leftMs() {
        return Math.max(1000, TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime()));
    }

    /// The address of this machine that the others reach it by, if they reach rank 0's.
    String ownAddress() {
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.connect(InetAddress.getByName(place.host()), place.port()); // sends nothing: routes only
            return socket.getLocalAddress().getHostAddress();
        } catch (IOException e) {
            return "127.0.0.1";
        }
    }

    static void sleep() {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    static String firstLine(Throwable e) {
        String message = e.getMessage() == null ? e.toString() : e.getMessage();
        return message.lines().findFirst().orElse("");
    }
}
