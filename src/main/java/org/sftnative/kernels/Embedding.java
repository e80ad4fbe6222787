package org.sftnative.kernels;

/// The token embedding: rows out, and their gradient back without atomics. Deterministic.
public final class Embedding {
    private static final int THREADS = 128;
    private static final int FREQUENT_THREADS = 64;
    private static final int FREQUENT_LANES = 8;
    private final KernelFunction gather;
    private final KernelFunction gatherAny;
    private final KernelFunction gradient;
    private final KernelFunction gradientAny;
    private final KernelFunction frequent;
    private final KernelFunction frequentAny;

    Embedding(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "embedding");
        gather = module.function("embedding_gather", 4);
        gatherAny = module.function("embedding_gather_any", 4);
        gradient = module.function("embedding_gradient", 9);
        gradientAny = module.function("embedding_gradient_any", 9);
        frequent = module.function("embedding_gradient_frequent", 9);
        frequentAny = module.function("embedding_gradient_frequent_any", 9);
    }

    /// out[t] = weight[ids[t]].
    ///
    /// @param weight (V, C)
    /// @param ids (T) int32, each in [0, V): not checked
    /// @param out (T, C), written
    public void forward(long weight, long ids, long out, int tokens, int width, long stream) {
        boolean vectors = Shape.vectors(width, weight | out);
        (vectors ? gather : gatherAny)
                .begin()
                .arg(weight)
                .arg(ids)
                .arg(out)
                .arg(width)
                .launch(tokens, Shape.rowThreads(width, 512), stream);
    }

    /// dWeight[id] = beta dWeight[id] + the sum of dx over the tokens of that id, in their order, in fp32 with one
    /// rounding. Rows of ids that do not occur are left alone: a buffer written with beta 0 is zeroed first.
    ///
    /// @param dx (T, C)
    /// @param plan where each id's tokens stand, on the device: [EmbeddingPlan]
    /// @param dWeight (V, C), a gradient
    /// @param accumulate beta 1: add; else write
    public void backward(
            long dx, Plan plan, long dWeight, int width, GradientType type, boolean accumulate, long stream) {
        boolean vectors = Shape.vectors(width, dx | dWeight);
        int groups = Shape.ceilDiv(width, Shape.GROUP);
        segments(vectors ? frequent : frequentAny, dx, plan, 0, dWeight, width, type, accumulate)
                .launch(
                        plan.frequent(),
                        Shape.ceilDiv(groups, FREQUENT_THREADS),
                        FREQUENT_THREADS,
                        FREQUENT_LANES,
                        stream);
        int threads = Shape.rowThreads(width, THREADS);
        segments(vectors ? gradient : gradientAny, dx, plan, plan.frequent(), dWeight, width, type, accumulate)
                .launch(plan.count() - plan.frequent(), Shape.ceilDiv(groups, threads), threads, 1, stream);
    }

    private static KernelFunction segments(
            KernelFunction kernel,
            long dx,
            Plan plan,
            int first,
            long dWeight,
            int width,
            GradientType type,
            boolean accumulate) {
        return kernel.begin()
                .arg(dx)
                .arg(plan.order())
                .arg(plan.starts())
                .arg(plan.unique())
                .arg(first)
                .arg(dWeight)
                .arg(width)
                .arg(type == GradientType.FP32)
                .arg(accumulate);
    }

    /// An [EmbeddingPlan] on the device.
    ///
    /// @param order (T) int32
    /// @param starts (count + 1) int32
    /// @param unique (count) int32
    /// @param count distinct ids
    /// @param frequent those of them that come first because they occur often
    public record Plan(long order, long starts, long unique, int count, int frequent) {}
}
