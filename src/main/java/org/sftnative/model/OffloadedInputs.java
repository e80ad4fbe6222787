package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Copies;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The inputs of the blocks whose policy is [Recompute#OFFLOAD]. On the device they take turns in two
/// buffers. The last two are still there when the backward pass comes; the others wait for it in memory
/// of the host. A copy out runs while blocks go on. One back begins when the backward pass is done with
/// what the buffer held, and runs while the block between computes.
///
/// T tokens, C hidden.
final class OffloadedInputs implements AutoCloseable {
    private static final int TURNS = 2;

    private final int[] places; // of each block among those that are offloaded; -1: it is not
    private final List<Tensor> turns = new ArrayList<>(); // (T, C) each, on the device
    private final List<Copies.Channel> channels = new ArrayList<>(); // of each turn
    private final List<Tensor> waiting = new ArrayList<>(); // (T, C) each, in the host's memory, by place
    private final List<Copies> copies; // none where nothing is offloaded
    private boolean keeps;

    /// @param tokens T, the largest micro-batch
    /// @param hidden C
    /// @param opened opens what copies, asked only where something is offloaded
    OffloadedInputs(
            List<Recompute> policies,
            ScalarType type,
            Device device,
            long tokens,
            long hidden,
            Supplier<Copies> opened) {
        places = new int[policies.size()];
        int count = 0;
        for (int i = 0; i < places.length; i++) {
            places[i] = policies.get(i) == Recompute.OFFLOAD ? count++ : -1;
        }
        copies = count == 0 ? List.of() : List.of(opened.get());
        try {
            for (int i = 0; i < onDevice(policies); i++) {
                turns.add(Scopes.keep(() -> Tensors.empty(type, device, tokens, hidden)));
                channels.add(copies.getFirst().channel());
            }
            for (int i = 0; i < inHost(policies); i++) {
                waiting.add(copies.getFirst().hostMemory(type, tokens, hidden));
            }
        } catch (RuntimeException e) {
            close(); // there was no room for all of them
            throw e;
        }
    }

    /// Buffers on the device, of (T, C) each.
    static int onDevice(List<Recompute> policies) {
        return Math.min(TURNS, count(policies));
    }

    /// Buffers in the host's memory, of (T, C) each.
    static int inHost(List<Recompute> policies) {
        return Math.max(0, count(policies) - TURNS);
    }

    private static int count(List<Recompute> policies) {
        return (int) policies.stream().filter(Recompute.OFFLOAD::equals).count();
    }

    /// (T, C): where the input of an offloaded block is while it is computed with.
    Tensor buffer(int layer) {
        return turns.get(places[layer] % TURNS);
    }

    /// Bytes on the device.
    long bytes() {
        return turns.stream().mapToLong(Tensor::nbytes).sum();
    }

    /// Bytes in the host's memory.
    long hostBytes() {
        return waiting.stream().mapToLong(Tensor::nbytes).sum();
    }

    /// Begins a pass; one before it may have broken off.
    ///
    /// @param keeps whether a backward pass follows
    void begin(boolean keeps) {
        this.keeps = keeps;
        channels.forEach(Copies.Channel::await);
    }

    /// Comes before a block's input is written, in the forward pass, or read, in the backward pass.
    void await(int layer) {
        if (places[layer] >= 0) {
            channels.get(places[layer] % TURNS).await();
        }
    }

    /// Comes when a block's input was written in the forward pass; it may be read on.
    ///
    /// @param x the rows of [#buffer] that are in use
    void written(int layer, Tensor x) {
        int place = places[layer];
        if (keeps && place >= 0 && place < waiting.size()) {
            Scopes.run(() -> channels.get(place % TURNS).copy(rows(place, x), x));
        }
    }

    /// Comes when the backward pass is done with a block.
    void done(int layer, Tensor x) {
        int next = places[layer] - TURNS; // the next in this buffer
        if (next >= 0) {
            Scopes.run(() -> channels.get(next % TURNS).copy(x, rows(next, x)));
        }
    }

    private Tensor rows(int place, Tensor x) {
        return waiting.get(place).narrow(0, 0, x.size(0));
    }

    @Override
    public void close() {
        copies.forEach(Copies::close); // before what they copy from is given back
        turns.forEach(Scopes::free);
        turns.clear();
    }
}
