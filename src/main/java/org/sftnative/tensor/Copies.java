package org.sftnative.tensor;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Copies between a device's memory and the host's, beside what is computed. On a CPU, where the two are
/// one, a copy is done when it is asked for.
public interface Copies extends AutoCloseable {
    /// Those of one device, none made yet.
    static Copies of(Device device) {
        return Devices.isCuda(device) ? new CudaCopies(device) : new CpuCopies();
    }

    /// Memory of the host to copy to and from, to the byte; pinned where there is a card. Freed by [#close].
    ///
    /// @throws org.sftnative.InputException if a card's driver has none
    Tensor hostMemory(ScalarType type, long... shape);

    /// The copies to and from one buffer of the device.
    Lane lane();

    /// One of several: all lanes' copies run in the order in which they were asked for.
    interface Lane {
        /// Copies when all is done that the device was asked to compute before.
        void copy(Tensor to, Tensor from);

        /// What the device is asked to compute from here on waits for this lane's copies; the host does not.
        void await();
    }

    /// Waits until no copy runs.
    @Override
    void close();

    /// Those of a CPU.
    final class CpuCopies implements Copies {
        private final List<Tensor> kept = new ArrayList<>();

        private CpuCopies() {}

        @Override
        public Tensor hostMemory(ScalarType type, long... shape) {
            Tensor memory = Scopes.keep(() -> Tensors.empty(type, Devices.cpu(), shape));
            kept.add(memory);
            return memory;
        }

        @Override
        public Lane lane() {
            return new Lane() {
                @Override
                public void copy(Tensor to, Tensor from) {
                    Scopes.run(() -> to.copy_(from));
                }

                @Override
                public void await() {}
            };
        }

        @Override
        public void close() {
            kept.forEach(Scopes::free);
            kept.clear();
        }
    }
}
