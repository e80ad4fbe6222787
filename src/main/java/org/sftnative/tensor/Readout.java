package org.sftnative.tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Numbers that a device computes, on their way to the host: what the device is asked for behind them, it does
/// while the host waits for them alone.
public final class Readout implements AutoCloseable {
    private final Tensor host;
    private final Lane work;
    private final Mark never;
    private final Mark arrived;

    /// @param beside a tensor of the device
    /// @param n numbers at a time
    public Readout(Tensor beside, int n) {
        try (PointerScope _ = new PointerScope()) {
            Device device = beside.device();
            host = Scopes.keep(() -> Tensors.onHost(ScalarType.Double, device, n));
            work = Lane.current(device);
            never = Mark.on(device);
            arrived = Mark.on(device);
        }
    }

    /// Asks for numbers, behind all that the device was asked for before. Those of the call before are gone.
    ///
    /// @param values (n) fp64
    public void begin(Tensor values) {
        work.run(never, () -> Scopes.run(() -> host.copy_(values, true)), arrived);
    }

    /// Waits until they are there.
    public double[] await() {
        arrived.await();
        return Tensors.doubles(host);
    }

    @Override
    public void close() {
        work.await(); // no copy is on its way
        Scopes.free(host);
        never.close();
        arrived.close();
    }
}
