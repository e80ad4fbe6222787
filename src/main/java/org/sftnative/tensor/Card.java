package org.sftnative.tensor;

import org.bytedeco.cuda.cudart.cudaDeviceProp;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch_cuda;

/// What a CUDA card is.
///
/// @param name as the driver says it, `NVIDIA H100 80GB HBM3`
/// @param capability compute capability, `9.0`
/// @param driver newest CUDA that its driver runs, `13.0`
/// @param freeBytes of its memory, now
/// @param totalBytes of its memory
public record Card(String name, String capability, String driver, long freeBytes, long totalBytes) {
    /// Asks CUDA.
    ///
    /// @param cuda a card's device
    public static Card of(Device cuda) {
        try (PointerScope _ = new PointerScope()) {
            cudaDeviceProp properties = torch_cuda.getDeviceProperties(cuda.index());
            int[] version = new int[1];
            cudart.cudaDriverGetVersion(version);
            var memory = torch_cuda.getAllocator().getMemoryInfo(cuda.index());
            return new Card(
                    properties.name().getString(),
                    properties.major() + "." + properties.minor(),
                    version[0] / 1000 + "." + version[0] % 1000 / 10,
                    memory.first(),
                    memory.second());
        }
    }
}
