package org.sftnative.dist;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.StringJoiner;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.javacpp.chrono.Milliseconds;
import org.bytedeco.pytorch.Backend;
import org.bytedeco.pytorch.BroadcastOptions;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.GlooDeviceVector;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.ProcessGroupGloo;
import org.bytedeco.pytorch.ReduceOptions;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.Work;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.nccl.ProcessGroupNCCL;
import org.sftnative.InputException;
import org.sftnative.config.BackendChoice;
import org.sftnative.config.DistSettings;
import org.sftnative.tensor.DeviceTimer;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// A run of several processes over c10d. Numbers go over Gloo; tensors over Gloo too, or over NCCL
/// where they live on GPUs. Process groups are never freed: threads of theirs may still run when the
/// last of their work is done.
final class Ranks implements World {
    /// Elements sent at a time: of what is sent as it is, and of what is copied to be sent.
    private static final long PIECE = 1L << 28;

    private static final long COPIED_PIECE = 1L << 24;

    /// By address: one serves all groups of a process, and its thread wakes a hundred times a second.
    private static final Map<String, org.bytedeco.pytorch.gloo.Device> DEVICES = new ConcurrentHashMap<>();

    private final Place place;
    private final MeetingPoint point;
    private final Watch watch;
    private final DistSettings settings;
    private final String address;
    private final Backend numbers;
    private Backend tensors;
    private boolean nccl;
    private int said;
    private long waitingNanos;
    private DeviceTimer sending = new DeviceTimer(Devices.cpu());

    Ranks(Place place, MeetingPoint point, Watch watch, DistSettings settings) {
        this.place = place;
        this.point = point;
        this.watch = watch;
        this.settings = settings;
        String named = System.getenv("GLOO_SOCKET_IFNAME");
        this.address = named == null || named.isBlank() ? point.ownAddress() : named.strip();
        this.numbers = gloo(address, named != null && !named.isBlank());
        this.tensors = numbers;
    }

    private Backend gloo(String address, boolean isInterface) {
        ProcessGroupGloo.Options options = Scopes.give(ProcessGroupGloo.Options.create(timeout()));
        options.threads(2);
        options.devices(new GlooDeviceVector(DEVICES.computeIfAbsent(address, a -> device(a, isInterface))));
        return Scopes.give(new ProcessGroupGloo(point.forGroup("gloo"), place.rank(), place.size(), options));
    }

    private static org.bytedeco.pytorch.gloo.Device device(String address, boolean isInterface) {
        return Scopes.keep(() -> isInterface
                ? ProcessGroupGloo.createDeviceForInterface(address)
                : ProcessGroupGloo.createDeviceForHostname(address));
    }

    private Milliseconds timeout() {
        return new Milliseconds(settings.ddpTimeout() * 1000L);
    }

    @Override
    public void on(Device device) {
        boolean wanted = settings.ddpBackend() == BackendChoice.NCCL;
        if (wanted && !Devices.isCuda(device)) {
            throw new InputException("ddp_backend nccl needs GPUs, the run is on " + Devices.name(device)
                    + "\n  use --ddp-backend gloo, or a build with -Pcuda on machines with cards");
        }
        nccl = wanted || settings.ddpBackend() == BackendChoice.AUTO && Devices.isCuda(device);
        if (nccl) {
            ProcessGroupNCCL.Options options = Scopes.give(ProcessGroupNCCL.Options.create());
            options.timeout(timeout());
            sending = new DeviceTimer(device);
            tensors = Scopes.give(new ProcessGroupNCCL(point.forGroup("nccl"), place.rank(), place.size(), options));
        }
    }

    @Override
    public int rank() {
        return place.rank();
    }

    @Override
    public int size() {
        return place.size();
    }

    @Override
    public int localRank() {
        return place.localRank();
    }

    @Override
    public int localSize() {
        return place.localSize();
    }

    @Override
    public String describe() {
        return place.size() + " (" + (nccl ? "nccl" : "gloo") + ", rank 0 at " + address + ")";
    }

    @Override
    public void sum(Tensor tensor) {
        pieces(tensor, piece -> tensors.allreduce(new TensorVector(piece)));
    }

    @Override
    public void broadcast(Tensor tensor) {
        pieces(tensor, piece -> tensors.broadcast(new TensorVector(piece)));
    }

    @Override
    public void reduceScatter(Tensor flat) {
        long each = Part.each(flat.numel(), size());
        slices(flat, ScalarType.Float, (all, from, n) -> {
            Tensor mine = torch.empty_like(all.narrow(0, 0, n));
            send(() -> tensors._reduce_scatter_base(mine, all));
            flat.narrow(0, rank() * each + from, n).copy_(mine);
        });
        sum(flat.narrow(0, size() * each, flat.numel() - size() * each));
    }

    @Override
    public Sending sumFor(int rank, Tensor tensor) {
        return begin(tensor, piece -> tensors.reduce(new TensorVector(piece), new ReduceOptions().rootRank(rank)));
    }

    @Override
    public Sending copyFrom(int rank, Tensor tensor) {
        return begin(tensor, piece -> copy(piece, rank));
    }

    private Work copy(Tensor piece, int from) {
        return tensors.broadcast(new TensorVector(piece), new BroadcastOptions().rootRank(from));
    }

    private Sending begin(Tensor tensor, Collective collective) {
        if (!there(tensor)) { // by way of the host's memory: there is nothing to hide it behind
            pieces(tensor, collective);
            return () -> {};
        }
        List<Work> begun = new ArrayList<>();
        for (long from = 0; from < tensor.numel(); from += PIECE) {
            long at = from;
            long n = Math.min(PIECE, tensor.numel() - from);
            begun.add(Scopes.keep(() -> met(() -> collective.on(tensor.narrow(0, at, n)))));
        }
        return () -> begun.forEach(work -> {
            send(() -> work);
            Scopes.free(work);
        });
    }

    @Override
    public void allGather(Tensor flat) {
        long each = Part.each(flat.numel(), size());
        slices(flat, flat.scalar_type(), (all, from, n) -> {
            Tensor mine = all.narrow(0, rank() * n, n).clone();
            send(() -> tensors._allgather_base(all, mine));
            for (int rank = 0; rank < size(); rank++) {
                flat.narrow(0, rank * each + from, n).copy_(all.narrow(0, rank * n, n));
            }
        });
        // what a part has beyond the others' length is the last rank's
        pieces(flat.narrow(0, size() * each, flat.numel() - size() * each), piece -> copy(piece, size() - 1));
    }

    private interface Slices {
        /// @param all (ranks x n) a copy
        /// @param from where in each rank's part the slice begins
        void meet(Tensor all, long from, long n);
    }

    /// The same slice of every rank's part, one behind the other in a buffer, again and again until all
    /// is done.
    private void slices(Tensor flat, ScalarType type, Slices work) {
        long each = Part.each(flat.numel(), size());
        long most = Math.max(1, COPIED_PIECE / size());
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (long from = 0; from < each; from += most) {
                long at = from;
                long n = Math.min(most, each - from);
                Scopes.run(() -> {
                    Tensor all = Tensors.empty(type, carrier(flat), n * size());
                    for (int rank = 0; rank < size(); rank++) {
                        all.narrow(0, rank * n, n).copy_(flat.narrow(0, rank * each + at, n));
                    }
                    work.meet(all, at, n);
                });
            }
        }
    }

    private Device carrier(Tensor tensor) {
        return nccl ? tensor.device() : Devices.cpu();
    }

    /// Whether what carries tensors takes them from where they are.
    private boolean there(Tensor tensor) {
        return nccl || !Devices.isCuda(tensor.device());
    }

    private interface Collective {
        Work on(Tensor piece);
    }

    /// In place, a piece at a time; by way of a copy where the sum needs fp32 or the carrier host
    /// memory.
    private void pieces(Tensor tensor, Collective collective) {
        boolean wide = !Tensors.is(tensor, ScalarType.BFloat16) && !Tensors.is(tensor, ScalarType.Half);
        boolean there = there(tensor);
        long most = wide && there ? PIECE : COPIED_PIECE;
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor flat = tensor.view(-1);
            for (long from = 0; from < flat.numel(); from += most) {
                long at = from;
                long n = Math.min(most, flat.numel() - from);
                Scopes.run(() -> {
                    Tensor piece = flat.narrow(0, at, n);
                    if (wide && there) {
                        send(() -> collective.on(piece));
                        return;
                    }
                    Tensor copy =
                            there ? piece.to(ScalarType.Float) : Tensors.to(piece.to(ScalarType.Float), Devices.cpu());
                    send(() -> collective.on(copy));
                    piece.copy_(copy);
                });
            }
        }
    }

    @Override
    public double[][] exchange(double... mine) {
        try (PointerScope _ = new PointerScope()) {
            Tensor out = Tensors.empty(ScalarType.Double, Devices.cpu(), (long) size() * mine.length);
            Tensor in = Tensors.ofDoubles(mine);
            long began = System.nanoTime();
            await(() -> numbers._allgather_base(out, in));
            waitingNanos += System.nanoTime() - began;
            double[] all = Tensors.doubles(out);
            double[][] byRank = new double[size()][mine.length];
            for (int rank = 0; rank < size(); rank++) {
                System.arraycopy(all, rank * mine.length, byRank[rank], 0, mine.length);
            }
            return byRank;
        }
    }

    /// Tensors meet: on a card, what is asked of it next waits, and the host goes on.
    private void send(Supplier<Work> collective) {
        sending.time(() -> await(collective));
    }

    private void await(Supplier<Work> collective) {
        met(() -> collective.get()._wait());
    }

    /// What work says when a rank is lost is of no use to anybody, what rank 0 says is.
    private <T> T met(Supplier<T> call) {
        try {
            return call.get();
        } catch (RuntimeException e) {
            Optional<Fault> cause = watch.cause();
            throw new RanksException(
                    cause.map(Fault::toString)
                            .orElseGet(() -> "ranks did not meet: " + MeetingPoint.firstLine(e)
                                    + "\n  --ddp-timeout is how long one may wait for another"),
                    e);
        }
    }

    @Override
    public Spent spent() {
        return new Spent(waitingNanos, sending.nanos());
    }

    @Override
    public String first(String mine) {
        String key = "said/" + said++;
        if (leads()) {
            point.set(key, mine);
            return mine;
        }
        return point.get(key, settings.ddpTimeout() * 1000L);
    }

    @Override
    public void agree(String what, Map<String, String> values) {
        StringJoiner text = new StringJoiner("\n");
        values.forEach((name, value) -> text.add(name + "\t" + value.replace("\n", " ")));
        String leader = first(text.toString());
        Map<String, String> first = new LinkedHashMap<>();
        leader.lines().map(line -> line.split("\t", 2)).forEach(pair -> first.put(pair[0], pair[1]));
        TreeSet<String> names = new TreeSet<>(first.keySet());
        names.addAll(values.keySet());
        StringJoiner differences = new StringJoiner("");
        names.forEach(name -> {
            String theirs = first.getOrDefault(name, "nothing");
            String mine = values.getOrDefault(name, "nothing").replace("\n", " ");
            if (!theirs.equals(mine)) {
                differences.add("\n  " + name + ": " + mine + ", rank 0 has " + theirs);
            }
        });
        if (differences.length() > 0) {
            throw new InputException("rank " + rank() + " (" + Rendezvous.here() + ") has other " + what
                    + " than rank 0" + differences + "\n  start all ranks with the same program, settings and files");
        }
    }

    @Override
    public void leave(String name, String word) {
        point.set(name, word);
    }

    @Override
    public Optional<String> left(String name) {
        return point.has(name) ? Optional.of(point.get(name, 1000)) : Optional.empty();
    }

    @Override
    public boolean failed(String why) {
        Fault first = watch.failed(why);
        return leads() || !first.led();
    }

    @Override
    public void close() {
        watch.close();
    }
}
