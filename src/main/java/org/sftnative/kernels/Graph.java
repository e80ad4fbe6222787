package org.sftnative.kernels;

/// A CUDA graph: what was queued on a stream, to be queued again by one call, with the same arguments
/// and memory.
public final class Graph implements AutoCloseable {
    private final long executable;

    private Graph(long executable) {
        this.executable = executable;
    }

    /// Records what work queues on a stream, without running it.
    ///
    /// @param stream not the default one
    /// @throws CudaException if the driver cannot
    public static Graph of(long stream, Runnable work) {
        CudaDriver.beginCapture(stream);
        try {
            work.run();
        } catch (RuntimeException | Error e) {
            abandon(stream, e);
            throw e;
        }
        return new Graph(CudaDriver.instantiate(CudaDriver.endCapture(stream)));
    }

    private static void abandon(long stream, Throwable cause) {
        try {
            CudaDriver.destroyUnused(CudaDriver.endCapture(stream));
        } catch (CudaException e) {
            cause.addSuppressed(e);
        }
    }

    /// Queues it.
    ///
    /// @param stream any
    public void launch(long stream) {
        CudaDriver.launchGraph(executable, stream);
    }

    @Override
    public void close() {
        CudaDriver.destroyGraph(executable);
    }
}
