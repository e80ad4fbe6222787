package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What can be said of the kernels without a card. NVRTC needs none: where it is, every kernel is compiled.
class KernelSourceTest {
    private static final List<String> SOURCES = List.of(
            "rmsnorm",
            "columns",
            "rope",
            "swiglu",
            "crossentropy",
            "embedding",
            "norm",
            "elementwise",
            "dequantise",
            "adamw");

    @Test
    void sourcesIncludeNothing() {
        for (String name : SOURCES) {
            assertFalse(KernelModule.source(name).contains("#include"), name);
        }
    }

    @Test
    void everyKernelCompilesForAmpereAndHopper(@TempDir Path cache) {
        Nvrtc nvrtc = nvrtc();
        for (int major : new int[] {8, 9}) {
            KernelModule.Card card = new KernelModule.Card(major, 0, 132, nvrtc, new CubinCache(cache));
            for (String name : SOURCES) {
                byte[] cubin = KernelModule.compile(card, name);
                assertEquals("7f454c46", "%02x%02x%02x%02x".formatted(cubin[0], cubin[1], cubin[2], cubin[3]), name);
            }
        }
    }

    @Test
    void everyModeOfTheOptimizerCompiles(@TempDir Path cache) {
        KernelModule.Card card = new KernelModule.Card(9, 0, 132, nvrtc(), new CubinCache(cache));
        for (AdamW.Weights weights : AdamW.Weights.values()) {
            for (AdamW.Moments moments : AdamW.Moments.values()) {
                for (GradientType gradients : GradientType.values()) {
                    assertTrue(KernelModule.compile(card, "adamw", AdamW.defines(weights, moments, gradients)).length
                            > 1000);
                }
            }
        }
    }

    @Test
    void aSourceThatDoesNotCompileShowsTheCompilersWords() {
        Nvrtc nvrtc = nvrtc();
        CudaException e = assertThrows(
                CudaException.class,
                () -> nvrtc.compile("x.cu", "#line 7 \"x.cu\"\nnonsense", List.of("--gpu-architecture=sm_90")));
        assertTrue(e.getMessage().contains("x.cu(7): error"), e.getMessage());
    }

    @Test
    void aMachineWithoutADriverGetsOneReason() {
        assumeTrue(CudaLibraries.driver().isEmpty(), "this machine has a CUDA driver");
        KernelSupport support = KernelSupport.probe(0);
        assertEquals(
                new KernelSupport.Missing("no CUDA driver: libcuda.so.1 was not found"), support, "and no exception");
    }

    private static Nvrtc nvrtc() {
        Optional<Nvrtc> nvrtc = Nvrtc.find();
        assumeTrue(nvrtc.isPresent(), "NVRTC is not on this machine");
        return nvrtc.get();
    }
}
