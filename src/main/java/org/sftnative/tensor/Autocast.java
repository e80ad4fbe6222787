package org.sftnative.tensor;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Mixed precision for the calls inside a try block, on this thread: matrix products run in bf16, as under
/// `torch.autocast(device, torch.bfloat16)`. The weight cache is off: every weight is used once in a pass,
/// and a weight cast without gradients (the first pass of a checkpointed block) must not be reused with
/// them.
public final class Autocast implements AutoCloseable {
    private final DeviceType type;
    private final boolean before;

    private Autocast(DeviceType type, boolean on) {
        this.type = type;
        this.before = torch.is_autocast_enabled(type);
        if (on) {
            torch.set_autocast_cache_enabled(false);
            torch.set_autocast_dtype(type, ScalarType.BFloat16);
        }
        torch.set_autocast_enabled(type, on);
    }

    /// Bf16 where `on`, else plain arithmetic, until closed.
    public static Autocast bf16(Device device, boolean on) {
        return new Autocast(device.type(), on);
    }

    @Override
    public void close() {
        torch.set_autocast_enabled(type, before);
    }
}
