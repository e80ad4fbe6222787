package org.sftnative.optim;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// AdamW over a flat buffer: the first `decayed` elements with weight decay, the rest without. bf16 weights have fp32
/// masters here, so that updates smaller than a bf16 step are not lost.
public final class AdamWOptimizer implements AutoCloseable {
    private final Ops ops;
    private final Tensor weights;
    private final Tensor gradients;
    private final long decayed;
    private final AdamWUpdate defaults;
    private final Tensor master;
    private final Tensor m;
    private final Tensor v;
    private long steps;

    /// @param weights (n) flat, fp32 or bf16; updated in place
    /// @param gradients (n) flat, of the same dtype
    /// @param decayed elements that weight decay touches, from the start
    /// @param defaults betas, epsilon and weight decay; rate and step are each step's own
    public AdamWOptimizer(Ops ops, Tensor weights, Tensor gradients, long decayed, AdamWUpdate defaults) {
        this.ops = ops;
        this.weights = weights;
        this.gradients = gradients;
        this.decayed = decayed;
        this.defaults = defaults;
        boolean masters = !Tensors.is(weights, ScalarType.Float);
        this.master = masters ? Scopes.keep(() -> weights.detach().to(ScalarType.Float)) : weights;
        this.m = Scopes.keep(() -> master.detach().new_zeros(master.numel()));
        this.v = Scopes.keep(() -> master.detach().new_zeros(master.numel()));
    }

    /// Updates done.
    public long steps() {
        return steps;
    }

    /// Scales the gradients down to a norm, once, after all micro-batches.
    ///
    /// @param maxNorm 0: never
    /// @return the norm before clipping; NaN or infinite if a gradient is, which is then left as it is
    public double clip(double maxNorm) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            double norm = ops.norm(gradients).item_double();
            if (maxNorm > 0 && Double.isFinite(norm)) {
                double factor = maxNorm / (norm + 1e-6); // torch.nn.utils.clip_grad_norm_'s
                if (factor < 1) {
                    gradients.mul_(new Scalar(factor));
                }
            }
            return norm;
        }
    }

    /// One update of every weight.
    public void step(double learningRate) {
        steps++;
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            long n = master.numel();
            update(0, decayed, learningRate, defaults.weightDecay());
            update(decayed, n - decayed, learningRate, 0);
            if (master != weights) {
                weights.copy_(master);
            }
        }
    }

    private void update(long from, long n, double learningRate, double weightDecay) {
        AdamWUpdate update = new AdamWUpdate(
                learningRate, defaults.beta1(), defaults.beta2(), defaults.epsilon(), weightDecay, steps);
        ops.adamw(
                master.narrow(0, from, n),
                gradients.narrow(0, from, n).to(ScalarType.Float),
                m.narrow(0, from, n),
                v.narrow(0, from, n),
                update);
    }

    /// Everything besides the weights that the next step depends on, by name: what a checkpoint keeps. The tensors are
    /// the
    /// live ones: copy into them to restore, then [#restored].
    public SequencedMap<String, Tensor> state() {
        SequencedMap<String, Tensor> state = new LinkedHashMap<>();
        state.put("exp_avg", m);
        state.put("exp_avg_sq", v);
        if (master != weights) {
            state.put("master", master);
        }
        return state;
    }

    /// Says how many updates the restored state has seen.
    public void restored(long steps) {
        this.steps = steps;
    }

    @Override
    public void close() {
        Scopes.free(m);
        Scopes.free(v);
        if (master != weights) {
            Scopes.free(master);
        }
    }
}
