package org.sftnative.tensor;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.sftnative.InputException;

/// Where tensors live: the CPU, or one CUDA device.
public final class Devices {
    private static final Device CPU = Scopes.keep(() -> new Device(DeviceType.CPU));

    private Devices() {}

    /// The CPU.
    public static Device cpu() {
        return CPU;
    }

    /// A device by name: `cpu`, `cuda`, `cuda:1`, or `auto`, which is CUDA where there is a card.
    ///
    /// @throws InputException if the name is none of these, or the card is not there
    public static Device parse(String name) {
        if (name.equals("cpu") || name.equals("auto") && !torch.cuda_is_available()) {
            return CPU;
        }
        if (!name.matches("auto|cuda(:\\d{1,2})?")) {
            throw new InputException("setting 'device' is '" + name + "', must be auto, cpu, cuda or cuda:N");
        }
        int index = name.contains(":") ? Integer.parseInt(name.substring(5)) : 0;
        int cards = cards();
        if (index >= cards) {
            throw new InputException("device '" + name + "' is not there: libtorch sees " + cards + " CUDA devices\n"
                    + "  use --device cpu, or run a build with -Pcuda on a machine with a card and its driver");
        }
        return Scopes.keep(() -> new Device(DeviceType.CUDA, (byte) index));
    }

    /// CUDA cards that libtorch sees.
    public static int cards() {
        return torch.hasCUDA() ? (int) torch.getNumGPUs() : 0;
    }

    /// Whether a device is a CUDA card.
    public static boolean isCuda(Device device) {
        return device.is_cuda();
    }

    /// `cpu` or `cuda:0`.
    public static String name(Device device) {
        return isCuda(device) ? "cuda:" + device.index() : "cpu";
    }

    /// Most bytes in use so far: allocated on the device with CUDA, resident in this process on a CPU; 0 if unknown.
    public static long peakBytes(Device device) {
        if (isCuda(device)) {
            return torch_cuda
                    .getAllocator()
                    .getDeviceStats(device.index())
                    .allocated_bytes()
                    .peak();
        }
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmHWM:")) {
                    return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
        } catch (IOException notLinux) {
            return 0;
        }
        return 0;
    }

    /// Bytes that are free: of the card, or of the machine (as Linux estimates it); 1 GiB if unknown.
    public static long freeBytes(Device device) {
        if (isCuda(device)) {
            return torch_cuda.getAllocator().getMemoryInfo(device.index()).first();
        }
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemAvailable:")) {
                    return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
        } catch (IOException notLinux) {
            return 1L << 30;
        }
        return 1L << 30;
    }

    /// Bytes of a card's memory.
    public static long totalBytes(Device cuda) {
        return torch_cuda.getAllocator().getMemoryInfo(cuda.index()).second();
    }

    /// Bytes of the machine's memory, or of what its container may have of it.
    public static long hostBytes() {
        return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
    }

    /// Waits until the device has done everything it was asked for.
    public static void synchronize(Device device) {
        if (isCuda(device)) {
            torch.cuda_synchronize(device.index());
        }
    }
}
