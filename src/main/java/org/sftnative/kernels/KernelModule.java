package org.sftnative.kernels;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// A compiled source of `native/`, loaded into the current context.
final class KernelModule {
    private static final String COMMON = "common.cuh";
    private final long module;

    private KernelModule(long module) {
        this.module = module;
    }

    /// Compiles a source for a card, or takes it from the cache, and loads it.
    ///
    /// @param name without `.cu`
    /// @param defines `NAME=value`
    static KernelModule load(Card card, String name, String... defines) {
        return new KernelModule(CudaDriver.loadModule(compile(card, name, defines)));
    }

    /// The cubin alone: needs NVRTC and no card.
    static byte[] compile(Card card, String name, String... defines) {
        String source = source(name);
        List<String> options = new ArrayList<>(List.of("--gpu-architecture=" + card.arch(), "--std=c++17"));
        for (String define : defines) {
            options.add("--define-macro=" + define);
        }
        return card.cache()
                .get(
                        source,
                        options,
                        card.nvrtc().version(),
                        () -> card.nvrtc().compile(name + ".cu", source, options));
    }

    KernelFunction function(String name, int parameters) {
        return new KernelFunction(name, CudaDriver.function(module, name), parameters);
    }

    /// What is compiled: the common part, then the source, with lines counted as in its own file.
    static String source(String name) {
        return resource(COMMON) + "#line 1 \"" + name + ".cu\"\n" + resource(name + ".cu");
    }

    private static String resource(String file) {
        try (InputStream in = KernelModule.class.getResourceAsStream("/native/" + file)) {
            if (in == null) {
                throw new IllegalStateException("the program lacks its resource native/" + file);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// What kernels are compiled for.
    ///
    /// @param major of the compute capability
    /// @param minor
    /// @param multiprocessors of the card
    record Card(int major, int minor, int multiprocessors, Nvrtc nvrtc, CubinCache cache) {
        /// `sm_90`
        String arch() {
            return "sm_" + major + minor;
        }
    }
}
