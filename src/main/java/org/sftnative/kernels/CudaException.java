package org.sftnative.kernels;

/// A call of the CUDA driver or of NVRTC failed. The message names the call and what CUDA says of its code. After a
/// fault inside a kernel every later call of the process fails in the same way.
public final class CudaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    CudaException(String message) {
        super(message);
    }
}
