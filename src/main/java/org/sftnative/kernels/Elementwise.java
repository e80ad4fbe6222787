package org.sftnative.kernels;

/// Plain helpers over flat buffers of n elements.
public final class Elementwise {
    private static final int THREADS = 256;
    private final KernelFunction add;
    private final KernelFunction addAny;
    private final KernelFunction toFloat;
    private final KernelFunction toFloatAny;
    private final KernelFunction toBf16;
    private final KernelFunction toBf16Any;

    Elementwise(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "elementwise");
        add = module.function("add_bf16", 4);
        addAny = module.function("add_bf16_any", 4);
        toFloat = module.function("bf16_to_float", 3);
        toFloatAny = module.function("bf16_to_float_any", 3);
        toBf16 = module.function("float_to_bf16", 3);
        toBf16Any = module.function("float_to_bf16_any", 3);
    }

    /// out = bf16(x + y); out may be x or y.
    public void add(long x, long y, long out, long n, long stream) {
        ((x | y | out) % 16 == 0 ? add : addAny)
                .begin()
                .arg(x)
                .arg(y)
                .arg(out)
                .arg(n)
                .launch(blocks(n), THREADS, stream);
    }

    /// fp32 of bf16, exact.
    public void toFloat(long bf16, long fp32, long n, long stream) {
        ((bf16 | fp32) % 16 == 0 ? toFloat : toFloatAny)
                .begin()
                .arg(bf16)
                .arg(fp32)
                .arg(n)
                .launch(blocks(n), THREADS, stream);
    }

    /// bf16 of fp32, to nearest even.
    public void toBf16(long fp32, long bf16, long n, long stream) {
        ((bf16 | fp32) % 16 == 0 ? toBf16 : toBf16Any)
                .begin()
                .arg(fp32)
                .arg(bf16)
                .arg(n)
                .launch(blocks(n), THREADS, stream);
    }

    /// Zeros.
    public void zero(long address, long bytes, long stream) {
        if (bytes > 0) {
            CudaDriver.fill(address, (byte) 0, bytes, stream);
        }
    }

    private static int blocks(long n) {
        return Shape.ceilDiv(n, (long) THREADS * Shape.GROUP);
    }
}
