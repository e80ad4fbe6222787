package org.sftnative.kernels;

/// AdamW over flat buffers, fused with clipping, for one way of keeping weights, moments and gradients. The arithmetic
/// is fp32 in the order of torch's fused AdamW, each operation rounded once; `native/adamw.cu` writes it down. Split
/// weights follow fp32 weights bit for bit. Source: arXiv 1711.05101.
public final class AdamW {
    /// How weights are kept.
    public enum Weights {
        /// bf16, and beside it the low 16 bits of the fp32 master that it rounds: [Bf16#split].
        SPLIT,
        /// bf16, rounded stochastically.
        STOCHASTIC,
        /// bf16, rounded to nearest: updates below half a unit are lost.
        NONE,
        FP32
    }

    /// How moments are kept.
    public enum Moments {
        FP32,
        /// m to nearest, v stochastically.
        BF16,
        /// Blocks of 256 codes of 8 bits and an fp32 scale: [DynamicMap].
        BLOCK8;

        /// Elements that share a scale.
        public static final int BLOCK = 256;
    }

    private static final int THREADS = 256;
    private static final int BLOCKS_PER_SM = 8;
    private final KernelFunction kernel;
    private final Weights weights;
    private final Moments moments;
    private final int residentBlocks;

    AdamW(KernelModule.Card card, Weights weights, Moments moments, GradientType gradients) {
        this.weights = weights;
        this.moments = moments;
        residentBlocks = BLOCKS_PER_SM * card.multiprocessors();
        kernel = KernelModule.load(card, "adamw", defines(weights, moments, gradients))
                .function("adamw", 22);
    }

    static String[] defines(Weights weights, Moments moments, GradientType gradients) {
        return new String[] {
            "WEIGHTS=" + weights.ordinal(), "MOMENTS=" + moments.ordinal(), "GRADS=" + gradients.ordinal()
        };
    }

    /// The flat buffers of one kind of weight, or a rank's slice of them, all 16-byte aligned.
    ///
    /// @param weights (n) bf16 or fp32
    /// @param low (n) 16 bits each, the master's low halves; 0 unless SPLIT
    /// @param gradients (n)
    /// @param m (n) first moments; zeros at the start, in every form
    /// @param v (n) second moments, likewise
    /// @param mScale (ceil(n / 256)) fp32, the scales of m, zeros at the start; 0 unless BLOCK8
    /// @param vScale likewise of v
    /// @param count n
    /// @param first global index of the first element: a multiple of 256
    /// @param decayed elements with a global index below it are decayed: a multiple of 8
    /// @param number of this buffer among the run's: separates its random bits
    public record Buffers(
            long weights,
            long low,
            long gradients,
            long m,
            long v,
            long mScale,
            long vScale,
            long count,
            long first,
            long decayed,
            int number) {
        public Buffers {
            Shape.require(first % Moments.BLOCK == 0, "the first index " + first + " is no multiple of 256");
            Shape.require(decayed % Shape.GROUP == 0, "the decayed count " + decayed + " is no multiple of 8");
            Shape.require(((weights | low | gradients | m | v) & 15) == 0, "flat buffers must be 16-byte aligned");
        }
    }

    /// What a step does.
    ///
    /// @param step from 1: the bias corrections', and the random bits'
    /// @param seed of the random bits
    public record Step(
            double learningRate, double beta1, double beta2, double eps, double weightDecay, int step, long seed) {
        float stepSize() {
            return (float) (learningRate / (1 - Math.pow(beta1, step)));
        }

        float decay() {
            return (float) (learningRate * weightDecay);
        }

        float inverseSqrtBias2() {
            return (float) (1 / Math.sqrt(1 - Math.pow(beta2, step)));
        }
    }

    /// One update of all elements; nothing changes if the finite flag of clip is 0.
    ///
    /// @param clip what [GradientNorm#clip] wrote, or 0: gradients are not scaled
    public void update(Buffers buffers, Step step, long clip, long stream) {
        Shape.require(weights != Weights.SPLIT || buffers.low() != 0, "split weights need their low halves");
        Shape.require(
                moments != Moments.BLOCK8 || (buffers.mScale() != 0 && buffers.vScale() != 0),
                "8-bit moments need their scales");
        int blocks = Shape.ceilDiv(buffers.count(), (long) THREADS * Shape.GROUP);
        if (moments == Moments.BLOCK8) {
            // each block makes the map's tables first
            blocks = Math.min(blocks, residentBlocks);
        }
        kernel.begin()
                .arg(buffers.weights())
                .arg(buffers.low())
                .arg(buffers.gradients())
                .arg(buffers.m())
                .arg(buffers.v())
                .arg(buffers.mScale())
                .arg(buffers.vScale())
                .arg(clip)
                .arg(buffers.count())
                .arg(buffers.first())
                .arg(buffers.decayed())
                .arg(step.seed())
                .arg(step.step())
                .arg(buffers.number())
                .arg((float) step.beta1())
                .arg((float) (1 - step.beta1()))
                .arg((float) step.beta2())
                .arg((float) (1 - step.beta2()))
                .arg(step.stepSize())
                .arg(step.decay())
                .arg(step.inverseSqrtBias2())
                .arg((float) step.eps())
                .launch(blocks, THREADS, stream);
    }
}
