package org.sftnative.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.InputException;

/// Copies on a lane of their own, which the device's other work meets by marks only.
final class LaneCopies implements Copies {
    private final Device device;
    private final Lane work;
    private final Lane beside;
    private final Mark never;
    private final List<Mark> marks = new ArrayList<>();
    private final List<Tensor> memory = new ArrayList<>();

    LaneCopies(Device device) {
        this(device, Lane.current(device), Lane.another(device));
    }

    /// @param work the lane of the device's work
    /// @param beside that of the copies
    LaneCopies(Device device, Lane work, Lane beside) {
        this.device = device;
        this.work = work;
        this.beside = beside;
        never = mark();
    }

    @Override
    public Tensor hostMemory(ScalarType type, long... shape) {
        long n = Arrays.stream(shape).reduce(1, Math::multiplyExact);
        try {
            Tensor host = Scopes.keep(() ->
                    (Devices.isCuda(device) ? Pinned.zeros(type, n) : Tensors.zeros(type, device, n)).view(shape));
            memory.add(host);
            return host;
        } catch (RuntimeException e) {
            throw new InputException(
                    "no host memory for --recompute offload: "
                            + String.valueOf(e.getMessage()).lines().findFirst().orElse("")
                            + "\n  use --recompute full, or a smaller --micro-batch-tokens",
                    e);
        }
    }

    @Override
    public Channel channel() {
        Mark computed = mark();
        Mark copied = mark();
        Mark waited = mark();
        return new Channel() {
            @Override
            public void copy(Tensor to, Tensor from) {
                work.run(never, () -> {}, computed);
                beside.run(computed, () -> Scopes.run(() -> to.copy_(from, true)), copied);
            }

            @Override
            public void await() {
                work.run(copied, () -> {}, waited);
            }
        };
    }

    private Mark mark() {
        Mark mark = Mark.on(device);
        marks.add(mark);
        return mark;
    }

    @Override
    public void close() {
        beside.await();
        if (Devices.isCuda(device)) {
            memory.forEach(Pinned::unpin);
        }
        memory.forEach(Scopes::free);
        memory.clear();
        marks.forEach(Mark::close);
        marks.clear();
    }
}
