package org.sftnative.kernels;

/// Why this machine cannot run the kernels: [KernelSupport#probe] turns it into a value.
final class KernelsMissingException extends Exception {
    private static final long serialVersionUID = 1L;

    KernelsMissingException(String reason) {
        super(reason);
    }
}
