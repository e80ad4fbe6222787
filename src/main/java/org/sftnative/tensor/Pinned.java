package org.sftnative.tensor;

import org.bytedeco.cuda.global.cudart;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Memory of the host that cards copy from and to while everything else goes on. Registered where it
/// lies: what libtorch's own allocator pins, it rounds up to a power of two.
public final class Pinned {
    /// No page may be pinned twice, and neighbours may share one: each tensor has pages of its own.
    private static final long PAGE = 4096;

    private Pinned() {}

    /// (n) on the host. To be freed after [#unpin].
    ///
    /// @throws IllegalStateException if the system does not let it be pinned
    public static Tensor zeros(ScalarType type, long n) {
        if (n == 0) {
            return Tensors.zeros(type, Devices.cpu(), 0);
        }
        long bytes = n * Tensors.empty(type, Devices.cpu(), 0).element_size();
        Tensor pages = Tensors.zeros(ScalarType.Byte, Devices.cpu(), bytes + 2 * PAGE);
        long first = Math.floorMod(-pages.data_ptr().address(), PAGE);
        Tensor values = pages.narrow(0, first, bytes).view(type);
        int code = cudart.cudaHostRegister(
                values.data_ptr(), Math.ceilDiv(bytes, PAGE) * PAGE, cudart.cudaHostRegisterDefault);
        if (code != 0) {
            cudart.cudaGetLastError(); // or libtorch takes it for one of its own
            throw new IllegalStateException(bytes + " bytes of the host's memory cannot be pinned: "
                    + cudart.cudaGetErrorString(code).getString());
        }
        return values;
    }

    /// Gives up what [#zeros] pinned. No copy may be on its way.
    public static void unpin(Tensor host) {
        if (host.numel() > 0) {
            cudart.cudaHostUnregister(host.data_ptr());
        }
    }
}
