package org.sftnative.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;

class TorchTest {
    @Test
    void aThreadForEachCoreUnlessAskedOtherwise() {
        assertEquals(2, Torch.threads(1, 2, null), "libtorch took two cores for one");
        assertEquals(8, Torch.threads(8, 8, null));
        assertEquals(8, Torch.threads(8, 4, null), "what libtorch knows, Linux may hide");
        assertEquals(1, Torch.threads(1, 2, "1"));
    }

    @Test
    void startingWithNoneIsThat() {
        Torch.start(1);
        assertEquals(1, Torch.threads());
        Torch.start(0);
        int cores = Math.min(Loader.totalCores(), Runtime.getRuntime().availableProcessors());
        if (System.getenv("OMP_NUM_THREADS") == null) {
            assertEquals(cores, Torch.threads());
        }
    }
}
