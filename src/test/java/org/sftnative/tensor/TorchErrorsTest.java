package org.sftnative.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

class TorchErrorsTest {
    @Test
    void memoryThatIsNotThereIsSaidInOneLineWithWhatToDo() {
        String text = explained(() -> Tensors.empty(ScalarType.Float, Devices.cpu(), 1L << 55));
        assertTrue(
                text.startsWith("out of memory: 144115188075855872 bytes more were needed\n  need less: --gradient"),
                text);
        assertEquals(2, text.lines().count(), text);
    }

    @Test
    void wrongShapesAreSaidWithoutAStackOfCpp() {
        String text = explained(() -> torch.mm(
                Tensors.zeros(ScalarType.Float, Devices.cpu(), 2, 3),
                Tensors.zeros(ScalarType.Float, Devices.cpu(), 2, 3)));
        assertTrue(text.startsWith("libtorch failed: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)\n"), text);
        assertEquals(2, text.lines().count(), text);
    }

    /// The message as PyTorch 2.10 writes it; no card is needed to read it.
    @Test
    void gpuMemoryNamesTheCardAndItsRoom() {
        String message = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.19 GiB of"
                + " which 5.31 GiB is free. Including non-PyTorch memory, this process has 73.87 GiB memory in use. Of"
                + " the allocated memory 71.02 GiB is allocated by PyTorch, and 1.50 GiB is reserved by PyTorch but"
                + " unallocated.\nException raised from malloc at ...";
        String text = TorchErrors.explain(new RuntimeException(message)).orElseThrow();
        assertTrue(
                text.startsWith("out of GPU memory: 20.00 GiB more were needed; GPU 0 has a total capacity of 79.19 GiB"
                        + " of which 5.31 GiB is free\n  need less: "),
                text);
    }

    @Test
    void otherErrorsAreNotExplained() {
        assertEquals(Optional.empty(), TorchErrors.explain(new IllegalStateException("a bug")));
        assertEquals(Optional.empty(), TorchErrors.explain(new RuntimeException()));
    }

    private static String explained(Supplier<Tensor> work) {
        try (PointerScope _ = new PointerScope()) {
            return TorchErrors.explain(assertThrows(RuntimeException.class, work::get))
                    .orElseThrow();
        }
    }
}
