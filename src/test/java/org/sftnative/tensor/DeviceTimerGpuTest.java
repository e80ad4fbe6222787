package org.sftnative.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("gpu")
class DeviceTimerGpuTest {
    private static final int TIMES = 40;

    /// Products take the card far longer than the host, and every other one is counted.
    @Test
    void theCardsTimeIsCountedAndNotTheHosts() {
        try (PointerScope _ = new PointerScope()) {
            Device device = Devices.parse("cuda");
            Tensor x = Tensors.zeros(ScalarType.BFloat16, device, 8192, 8192);
            Runnable product = () -> Scopes.run(() -> torch.mm(x, x));
            DeviceTimer timer = new DeviceTimer(device);
            for (int i = 0; i < TIMES; i++) { // memory, algorithms, classes
                timer.time(product);
            }
            Devices.synchronize(device);
            long before = timer.nanos();
            long began = System.nanoTime();
            for (int i = 0; i < TIMES; i++) {
                timer.time(product);
                product.run();
            }
            long queued = System.nanoTime() - began;
            long soon = timer.nanos() - before;
            Devices.synchronize(device);
            long all = System.nanoTime() - began;
            assertTrue(queued < all / 2, "the host waited: " + queued + " of " + all);
            assertTrue(soon < all / 2, "what is not done was counted: " + soon + " of " + all);
            assertEquals(0.5, (double) (timer.nanos() - before) / all, 0.1);
            assertEquals(timer.nanos(), timer.nanos());
        }
    }
}
