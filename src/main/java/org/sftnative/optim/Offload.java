package org.sftnative.optim;

import java.util.List;
import java.util.SequencedMap;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Lane;
import org.sftnative.tensor.Mark;
import org.sftnative.tensor.Pinned;
import org.sftnative.tensor.Scopes;

/// AdamW over a state in the host's memory. A piece of it at a time is copied to where the weights are,
/// updated there, and copied back; two buffers take turns, so that one piece is on its way, in or out,
/// while the other is updated. The numbers are those of a state that lies beside the weights.
public final class Offload implements AutoCloseable {
    /// Elements of a piece: with fp32 moments and split masters 80 MiB, 1.6 ms at 50 GB/s. A multiple
    /// of 256: blocks of 8-bit moments, and of random bits, are never cut.
    public static final long PIECE = 1L << 23;

    private final Ops ops;
    private final AdamWState host;
    private final long piece;
    private final boolean pinned;
    private final Lanes lanes;
    private final List<Buffer> turns;

    /// On which copies and updates are queued.
    ///
    /// @param in copies from the host
    /// @param work updates: where everything else is done that reads weights and writes gradients
    /// @param out copies to the host
    record Lanes(Lane in, Lane work, Lane out) {
        static Lanes of(Device device) {
            return new Lanes(Lane.another(device), Lane.current(device), Lane.another(device));
        }
    }

    /// What a piece is updated in.
    ///
    /// @param filled the piece is there
    /// @param updated and updated
    /// @param emptied and on the host again
    private record Buffer(AdamWState state, Mark filled, Mark updated, Mark emptied) {}

    /// A state on the host, as [AdamWState#create] makes it: pinned, until an [Offload] of it is
    /// closed, if weights are on a card.
    ///
    /// @param device where the weights are
    public static AdamWState state(Masters masters, Moments moments, long n, Device device) {
        return Devices.isCuda(device)
                ? AdamWState.create(masters, moments, n, Pinned::zeros)
                : AdamWState.create(masters, moments, n, device);
    }

    /// @param host what [#state] made; its owner closes it after this
    /// @param device where the weights are
    public Offload(Ops ops, AdamWState host, Device device) {
        this(ops, host, device, PIECE, Lanes.of(device));
    }

    /// @param piece elements: a multiple of 256
    Offload(Ops ops, AdamWState host, Device device, long piece, Lanes lanes) {
        this.ops = ops;
        this.host = host;
        this.piece = Math.min(piece, host.m().numel());
        this.lanes = lanes;
        this.pinned = Devices.isCuda(device);
        this.turns = Stream.generate(() -> buffer(device)).limit(2).toList();
    }

    private Buffer buffer(Device device) {
        AdamWState state = AdamWState.create(host.masters(), host.moments(), piece, device);
        Buffer buffer = new Buffer(state, Mark.on(device), Mark.on(device), Mark.on(device));
        lanes.work().run(buffer.filled, () -> {}, buffer.emptied); // behind the zeros that it was made with
        return buffer;
    }

    /// Bytes of the two buffers.
    public long bufferBytes() {
        return turns.stream()
                .flatMap(buffer -> buffer.state.tensors().values().stream())
                .mapToLong(Tensor::nbytes)
                .sum();
    }

    /// What [Ops#adamw] does. The state is up to date when this returns; the weights are by what is
    /// queued after.
    ///
    /// @param state the host's, or a part of it
    void adamw(Tensor weights, Tensor gradients, AdamWState state, AdamWUpdate update, Tensor clip) {
        int turn = 0;
        for (long from = 0; from < weights.numel(); from += piece) {
            long at = from;
            long n = Math.min(piece, weights.numel() - from);
            Buffer buffer = turns.get(turn++ % 2);
            lanes.in().run(buffer.emptied, () -> copy(state.part(at, n), buffer.state.part(0, n)), buffer.filled);
            lanes.work()
                    .run(
                            buffer.filled,
                            () -> Scopes.run(() -> ops.adamw(
                                    weights.narrow(0, at, n),
                                    gradients.narrow(0, at, n),
                                    buffer.state.part(0, n),
                                    update.part(at, n),
                                    clip)),
                            buffer.updated);
            lanes.out().run(buffer.updated, () -> copy(buffer.state.part(0, n), state.part(at, n)), buffer.emptied);
        }
        lanes.out().await();
    }

    private static void copy(AdamWState from, AdamWState to) {
        Scopes.run(() -> {
            SequencedMap<String, Tensor> values = from.tensors();
            to.tensors().forEach((name, tensor) -> tensor.copy_(values.get(name), true));
        });
    }

    @Override
    public void close() {
        lanes.out().await();
        turns.forEach(buffer -> {
            buffer.state.close();
            Stream.of(buffer.filled, buffer.updated, buffer.emptied).forEach(Mark::close);
        });
        if (pinned) {
            host.tensors().values().forEach(Pinned::unpin);
        }
    }
}
