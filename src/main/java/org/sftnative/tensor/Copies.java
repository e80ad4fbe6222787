package org.sftnative.tensor;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Copies between a device's memory and the host's, beside what is computed. On a CPU, where the two are
/// one, a copy is done when it is asked for.
public interface Copies extends AutoCloseable {
    /// Those of one device, none made yet.
    static Copies of(Device device) {
        return new LaneCopies(device);
    }

    /// Memory of the host to copy to and from, zero; pinned where there is a card. Freed by [#close].
    ///
    /// @throws org.sftnative.InputException if there is none
    Tensor hostMemory(ScalarType type, long... shape);

    /// The copies to and from one buffer of the device.
    Channel channel();

    /// One of several: all channels' copies run in the order in which they were asked for.
    interface Channel {
        /// Copies when all is done that the device was asked to compute before.
        void copy(Tensor to, Tensor from);

        /// What the device is asked to compute from here on waits for this channel's copies; the host does not.
        void await();
    }

    /// Waits until no copy runs.
    @Override
    void close();
}
