package org.sftnative.tensor;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch_cuda;

/// Work that a device does in order, and beside its other work: a stream of CUDA. A CPU does everything
/// at once.
public interface Lane {
    /// Queues work.
    ///
    /// @param after what must be done before
    /// @param work queues what is to be done on the device
    /// @param done set behind it
    void run(Mark after, Runnable work, Mark done);

    /// Waits until all is done.
    void await();

    /// The lane that the device's work is on.
    static Lane current(Device device) {
        return Devices.isCuda(device)
                ? new CudaLane(Scopes.keep(() -> torch_cuda.getCurrentCUDAStream(device.index())))
                : AT_ONCE;
    }

    /// One beside it.
    static Lane another(Device device) {
        return Devices.isCuda(device)
                ? new CudaLane(Scopes.keep(() -> torch_cuda.getStreamFromPool(false, device.index())))
                : AT_ONCE;
    }

    /// A CPU's.
    Lane AT_ONCE = new Lane() {
        @Override
        public void run(Mark after, Runnable work, Mark done) {
            work.run();
        }

        @Override
        public void await() {}
    };
}
