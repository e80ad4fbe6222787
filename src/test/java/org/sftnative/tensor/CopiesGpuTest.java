package org.sftnative.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.cuda.CUDAEvent;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.sftnative.InputException;
import org.sftnative.support.NativeScope;

/// What a card's copies wait for, and what waits for them. Products of 4,096 x 4,096 take longer to compute
/// than to ask for; a copy of 128 MiB takes longer than to fill as much: what does not wait is seen.
@Tag("gpu")
@ExtendWith(NativeScope.class)
class CopiesGpuTest {
    private static final long N = 1L << 25; // fp32 values: 128 MiB
    private Device device;
    private Copies copies;

    @BeforeEach
    void open() {
        device = Devices.parse("cuda");
        copies = Copies.of(device);
    }

    @AfterEach
    void close() {
        copies.close();
    }

    @Test
    void aCopyOutWaitsForWhatIsComputedAndTheNextWriteForTheCopy() {
        Tensor host = copies.hostMemory(ScalarType.Float, N);
        Copies.Channel lane = copies.channel();
        Tensor x = Tensors.zeros(ScalarType.Float, device, N);
        busy();
        x.fill_(new Scalar(1.0));
        lane.copy(host, x);
        lane.await();
        x.fill_(new Scalar(2.0));
        Devices.synchronize(device);
        assertAll(1, host);
    }

    @Test
    void aCopyBackWaitsForTheLastReadAndTheNextReadForTheCopy() {
        Tensor host = copies.hostMemory(ScalarType.Float, N);
        host.fill_(new Scalar(1.0));
        Copies.Channel lane = copies.channel();
        Tensor x = Tensors.zeros(ScalarType.Float, device, N);
        busy();
        Tensor before = x.clone();
        lane.copy(x, host);
        lane.await();
        Tensor after = x.clone();
        assertAll(0, before);
        assertAll(1, after);
    }

    @Test
    void lanesCopyInTheOrderInWhichTheyWereAsked() {
        Tensor host = copies.hostMemory(ScalarType.Float, N);
        Tensor ones = Tensors.zeros(ScalarType.Float, device, N).fill_(new Scalar(1.0));
        Tensor back = Tensors.zeros(ScalarType.Float, device, N);
        copies.channel().copy(host, ones);
        Copies.Channel second = copies.channel();
        second.copy(back, host);
        second.await();
        assertAll(1, back);
    }

    @Test
    void computingGoesOnBesideACopyThatNoOneWaitsFor() {
        Tensor host = copies.hostMemory(ScalarType.Float, 8 * N);
        Tensor large = Tensors.zeros(ScalarType.Float, device, 8 * N);
        CUDAEvent done = new CUDAEvent();
        Tensor small = Tensors.zeros(ScalarType.Float, device, 1);
        small.add_(new Scalar(1.0)); // loads the kernel, for which the driver waits until the card is idle
        Devices.synchronize(device);
        long began = System.nanoTime();
        copies.channel().copy(host, large); // 1 GiB: 17 ms at the 64 GB/s of PCIe 5
        long asked = System.nanoTime();
        small.add_(new Scalar(1.0));
        done.record(torch_cuda.getCurrentCUDAStream());
        done.synchronize(); // reading a number would wait for the copy: one engine does all copies to the host
        long computed = System.nanoTime();
        Devices.synchronize(device);
        long copied = System.nanoTime();
        String times = (asked - began) + ", " + (computed - asked) + ", " + (copied - computed) + " ns";
        assertTrue(computed - began < (copied - began) / 2, times);
    }

    @Test
    void memoryThatTheHostDoesNotHaveIsAnErrorThatNamesTheSetting() {
        InputException e = assertThrows(InputException.class, () -> copies.hostMemory(ScalarType.BFloat16, 1L << 50));
        assertTrue(e.getMessage().startsWith("no host memory for --recompute offload: "), e.getMessage());
        assertTrue(e.getMessage().contains("--micro-batch-tokens"), e.getMessage());
        assertEquals(0, Tensors.zeros(ScalarType.Float, device, 1).item_double()); // and the card goes on
    }

    private static void assertAll(double expected, Tensor values) {
        assertEquals(expected, values.min().item_double());
        assertEquals(expected, values.max().item_double());
    }

    /// Keeps the card busy for some milliseconds.
    private void busy() {
        Tensor a = Tensors.zeros(ScalarType.Float, device, 4096, 4096);
        Tensor b = Tensors.zeros(ScalarType.Float, device, 4096, 4096);
        for (int i = 0; i < 10; i++) {
            torch.addmm_out(b, b, a, a);
        }
    }
}
