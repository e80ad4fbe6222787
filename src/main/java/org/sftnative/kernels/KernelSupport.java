package org.sftnative.kernels;

/// Whether this machine can run the kernels: ready, or missing with the one reason, for the log.
public sealed interface KernelSupport {
    /// The kernels of a card, compiled and loaded.
    record Ready(CudaKernels kernels) implements KernelSupport {}

    /// They cannot run here; everything they do is done by ATen instead.
    ///
    /// @param reason one line: what was looked for and where
    record Missing(String reason) implements KernelSupport {}

    /// Looks for the driver, a card of compute capability 8.0 or newer, and NVRTC; then compiles every kernel, or
    /// takes it from the cache, and loads it into the device's primary context (the one libtorch uses), which
    /// becomes current on this thread.
    ///
    /// @param device CUDA's ordinal, from 0
    /// @throws CudaException if all is there and CUDA fails all the same
    static KernelSupport probe(int device) {
        try {
            return new Ready(CudaKernels.open(device, CubinCache.ofUser()));
        } catch (KernelsMissingException e) {
            return new Missing(e.getMessage());
        }
    }
}
