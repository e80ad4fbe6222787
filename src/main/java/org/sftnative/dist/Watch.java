package org.sftnative.dist;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/// Tells every rank when one of them ends, hangs or fails, which the collectives do not: a stopped
/// process closes no connection. Each rank holds a connection to rank 0 and sends a sign of life on it;
/// rank 0 decides which failure was the first, and tells all. A connection that ends means a process
/// that was killed, silence one that is stopped or cut off.
///
/// A rank that hears of a fault has a second to end by itself; native code that waits for a lost rank
/// cannot be woken, so what is left is to end the process.
final class Watch implements AutoCloseable {
    private static final int ALIVE = 0;
    private static final int FAILED = 1;
    private static final int DONE = 2;

    /// Longest message that is passed on; `writeUTF` takes 65,535 bytes.
    private static final int MOST_CHARACTERS = 8000;

    private static final long GRACE_MS = 1000;

    private final int rank;
    private final int size;
    private final long tickMs;
    private final long silenceMs;
    private final Consumer<Fault> last;
    private final Map<Integer, Peer> peers = new ConcurrentHashMap<>();
    private final CompletableFuture<Fault> fault = new CompletableFuture<>();
    private final Optional<ServerSocket> server;
    private volatile boolean closing;

    /// The other end of a connection.
    private static final class Peer {
        private final Socket socket;
        private final DataOutputStream out;
        private volatile long silentMs;
        private volatile boolean done;

        Peer(Socket socket) throws IOException {
            this.socket = socket;
            socket.setTcpNoDelay(true);
            out = new DataOutputStream(socket.getOutputStream());
        }

        synchronized void send(int kind, Fault fault) {
            try {
                out.writeByte(kind);
                if (kind == FAILED) {
                    out.writeInt(fault.rank());
                    out.writeUTF(fault.message()
                            .substring(
                                    0, Math.min(MOST_CHARACTERS, fault.message().length())));
                }
                out.flush();
            } catch (IOException e) {
                // its reader finds out
            }
        }
    }

    private Watch(int rank, int size, Optional<ServerSocket> server, int silenceSeconds, Consumer<Fault> last) {
        this.rank = rank;
        this.size = size;
        this.server = server;
        this.silenceMs = silenceSeconds * 1000L;
        this.tickMs = Math.clamp(silenceMs / 8, 50, 1000);
        this.last = last;
    }

    /// Rank 0's: takes the others' connections.
    ///
    /// @param key what a rank says first, so that nobody else is taken for one
    /// @param silenceSeconds without a sign of life, after which a rank is lost
    /// @param last called a second after a fault, if this process still runs
    static Watch hub(int size, ServerSocket server, String key, int silenceSeconds, Consumer<Fault> last) {
        Watch watch = new Watch(0, size, Optional.of(server), silenceSeconds, last);
        start("ranks", () -> watch.accept(server, key));
        start("watch", watch::tick);
        return watch;
    }

    /// Another rank's, connected to rank 0.
    static Watch of(int rank, int size, InetSocketAddress hub, String key, int silenceSeconds, Consumer<Fault> last)
            throws IOException {
        Watch watch = new Watch(rank, size, Optional.empty(), silenceSeconds, last);
        Socket socket = new Socket();
        socket.connect(hub, Math.toIntExact(Math.max(2000, watch.silenceMs)));
        Peer peer = new Peer(socket);
        peer.out.writeUTF(key);
        peer.out.writeInt(rank);
        peer.out.flush();
        watch.peers.put(0, peer);
        start("rank 0", () -> watch.listen(0, peer));
        start("watch", watch::tick);
        return watch;
    }

    private static void start(String name, Runnable work) {
        Thread.ofPlatform().name(name).daemon().start(work);
    }

    private void accept(ServerSocket server, String key) {
        while (!closing) {
            try {
                Socket socket = server.accept();
                start("rank", () -> greet(socket, key));
            } catch (IOException e) {
                return; // closed
            }
        }
    }

    private void greet(Socket socket, String key) {
        try {
            socket.setSoTimeout(5000);
            DataInputStream in = new DataInputStream(socket.getInputStream());
            if (!in.readUTF().equals(key)) {
                socket.close();
                return;
            }
            int other = in.readInt();
            socket.setSoTimeout(0);
            Peer peer = new Peer(socket);
            peers.put(other, peer);
            if (fault.isDone()) {
                peer.send(FAILED, fault.join());
            }
            listen(other, peer);
        } catch (IOException e) {
            // whoever it was says nothing
        }
    }

    private void listen(int other, Peer peer) {
        try {
            DataInputStream in = new DataInputStream(peer.socket.getInputStream());
            while (true) {
                int kind = in.readByte();
                peer.silentMs = 0;
                if (kind == FAILED) {
                    heard(new Fault(in.readInt(), in.readUTF(), true));
                } else if (kind == DONE) {
                    peer.done = true;
                }
            }
        } catch (IOException e) {
            if (!peer.done && !closing) {
                heard(new Fault(
                        other, "its process ended without a word: killed, perhaps for lack of memory", rank == 0));
            }
            peer.done = true;
        }
    }

    /// Sends signs of life, and counts the silence of others. A process that was itself stopped for a
    /// while counts none of it.
    private void tick() {
        long before = System.nanoTime();
        while (!closing && !fault.isDone()) {
            sleep(tickMs);
            long now = System.nanoTime();
            long passed = Math.min(TimeUnit.NANOSECONDS.toMillis(now - before), 2 * tickMs);
            before = now;
            peers.forEach((other, peer) -> {
                peer.send(ALIVE, null);
                peer.silentMs += passed;
                if (!peer.done && peer.silentMs > silenceMs) {
                    heard(new Fault(
                            other,
                            "no sign of life for " + silenceMs / 1000
                                    + " s: its process is stopped, or its machine cut off (--heartbeat-timeout)",
                            rank == 0));
                }
            });
        }
    }

    /// The first one counts; rank 0 tells it to all.
    private void heard(Fault first) {
        if (closing || !fault.complete(first)) {
            return;
        }
        if (rank == 0) {
            peers.values().forEach(peer -> peer.send(FAILED, first));
        }
        start("end", () -> {
            sleep(GRACE_MS);
            if (!closing) {
                last.accept(first);
            }
        });
    }

    /// Tells why this rank ends.
    ///
    /// @return the first cause, which may be another; this one if rank 0 does not answer
    Fault failed(String why) {
        Fault mine = new Fault(rank, why, rank == 0);
        if (rank == 0) {
            heard(mine);
        } else {
            peers.get(0).send(FAILED, mine);
        }
        return cause().orElse(mine);
    }

    /// The fault that all know of, waited for a little: what a collective says of a lost rank comes
    /// before the word of rank 0.
    Optional<Fault> cause() {
        try {
            return Optional.of(fault.get(GRACE_MS, TimeUnit.MILLISECONDS));
        } catch (TimeoutException | ExecutionException e) {
            return Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        }
    }

    /// Says goodbye. Rank 0 leaves last.
    @Override
    public void close() {
        peers.values().forEach(peer -> peer.send(DONE, null));
        for (int i = 0; rank == 0 && i < 50 && !peers.values().stream().allMatch(peer -> peer.done); i++) {
            sleep(100);
        }
        closing = true;
        peers.values().forEach(peer -> quietly(peer.socket));
        server.ifPresent(Watch::quietly);
    }

    private static void quietly(AutoCloseable socket) {
        try {
            socket.close();
        } catch (Exception e) {
            // it is closed all the same
        }
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
