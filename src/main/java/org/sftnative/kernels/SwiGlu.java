package org.sftnative.kernels;

/// SwiGLU over the fused gate and up projection. Source: arXiv 2002.05202.
public final class SwiGlu {
    private static final int THREADS = 128;
    private final KernelFunction forward;
    private final KernelFunction forwardAny;
    private final KernelFunction backward;
    private final KernelFunction backwardAny;

    SwiGlu(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "swiglu");
        forward = module.function("swiglu_forward", 4);
        forwardAny = module.function("swiglu_forward_any", 4);
        backward = module.function("swiglu_backward", 5);
        backwardAny = module.function("swiglu_backward_any", 5);
    }

    /// act = bf16(bf16(silu(gate)) up).
    ///
    /// @param gateUp (T, 2 F): gate, then up
    /// @param act (T, F), written
    public void forward(long gateUp, long act, int tokens, int ffn, long stream) {
        boolean vectors = Shape.vectors(ffn, gateUp | act);
        int threads = Shape.rowThreads(ffn, THREADS);
        (vectors ? forward : forwardAny)
                .begin()
                .arg(gateUp)
                .arg(act)
                .arg(tokens)
                .arg(ffn)
                .launch(blocks(ffn, threads), Math.min(tokens, Shape.MAX_GRID_Y), threads, 1, stream);
    }

    /// The gradient of gate and up over their values, and act once more for free.
    ///
    /// @param dAct (T, F)
    /// @param gateUp (T, 2 F): overwritten with its gradient
    /// @param act (T, F), written; may be dAct; 0: not wanted
    public void backward(long dAct, long gateUp, long act, int tokens, int ffn, long stream) {
        boolean vectors = Shape.vectors(ffn, dAct | gateUp | act);
        int threads = Shape.rowThreads(ffn, THREADS);
        (vectors ? backward : backwardAny)
                .begin()
                .arg(dAct)
                .arg(gateUp)
                .arg(act)
                .arg(tokens)
                .arg(ffn)
                .launch(blocks(ffn, threads), Math.min(tokens, Shape.MAX_GRID_Y), threads, 1, stream);
    }

    private static int blocks(int ffn, int threads) {
        return Shape.ceilDiv(Shape.ceilDiv(ffn, Shape.GROUP), threads);
    }
}
