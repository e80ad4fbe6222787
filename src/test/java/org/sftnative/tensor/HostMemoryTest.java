package org.sftnative.tensor;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

class HostMemoryTest {
    private static final long ELEMENTS = 1L << 22;

    /// 16 MiB are 4,096 pages: taken, filled and freed 20 times they are faulted in once, where it is kept.
    /// The best of five, since other threads may have the same heap.
    @Test
    void whatIsFreedIsGivenToTheNextWhoAsks() throws IOException {
        Torch.start(0);
        assumeTrue(HostMemory.keepFreed(Map.of()), "not glibc, or an older one");
        long pages = 20 * ELEMENTS * Float.BYTES / 4096;
        long fewest = Long.MAX_VALUE;
        for (int attempt = 0; attempt < 5; attempt++) {
            long before = faults();
            for (int i = 0; i < 20; i++) {
                fill();
            }
            fewest = Math.min(fewest, faults() - before);
        }
        assertTrue(fewest < pages / 4, fewest + " faults for " + pages + " pages");
    }

    @Test
    void whoeverChoseOtherwiseIsLeftAlone() {
        assertFalse(HostMemory.keepFreed(Map.of("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")));
        assertFalse(HostMemory.keepFreed(Map.of("MALLOC_TRIM_THRESHOLD_", "131072")));
    }

    private static void fill() {
        Scopes.run(() -> Tensors.zeros(ScalarType.Float, Devices.cpu(), ELEMENTS)
                .add_(Tensors.ofFloats(new float[] {1}, Devices.cpu(), 1)));
    }

    /// Minor faults of this process: the tenth field of its `stat`, counted from the end of the name.
    private static long faults() throws IOException {
        String stat = Files.readString(Path.of("/proc/self/stat"));
        return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[7]);
    }
}
