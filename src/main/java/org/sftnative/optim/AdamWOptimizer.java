package org.sftnative.optim;

import java.util.List;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Tensors;

/// AdamW with clipping over a flat buffer of weights.
public final class AdamWOptimizer implements AutoCloseable {
    private final Ops ops;
    private final Tensor weights;
    private final Tensor gradients;
    private final AdamWUpdate update;
    private final AdamWState state;
    private final List<RateGroup> groups;
    private long steps;

    /// @param weights (n) flat; updated in place
    /// @param gradients (n) flat
    /// @param update betas, epsilon, weight decay and what it spares; rate and step are each update's own
    /// @param state of n elements, closed with this
    public AdamWOptimizer(Ops ops, Tensor weights, Tensor gradients, AdamWUpdate update, AdamWState state) {
        this(ops, weights, gradients, update, state, RateGroup.all(weights.numel()));
    }

    /// The same with more than one learning rate.
    ///
    /// @param groups all elements, in order; more than one only with fp32 weights and moments
    public AdamWOptimizer(
            Ops ops, Tensor weights, Tensor gradients, AdamWUpdate update, AdamWState state, List<RateGroup> groups) {
        this.ops = ops;
        this.weights = weights;
        this.gradients = gradients;
        this.update = update;
        this.state = state;
        this.groups = List.copyOf(groups);
    }

    /// Updates done.
    public long steps() {
        return steps;
    }

    /// One update of every weight, by the gradient scaled down to a norm: once, after all micro-batches. A
    /// gradient that is not finite updates nothing.
    ///
    /// @param maxNorm 0: no clipping
    /// @return the norm before clipping
    public double step(double learningRate, double maxNorm) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor clip = ops.clip(gradients, maxNorm);
            groups.forEach(group -> update(group, learningRate, clip));
            float[] read = Tensors.floats(clip); // the one read of the device that a step's end costs
            if (read[2] != 0) {
                steps++;
            }
            return read[0];
        }
    }

    private void update(RateGroup group, double learningRate, Tensor clip) {
        AdamWUpdate now = update.at(learningRate * group.ratio(), steps + 1);
        if (groups.size() == 1) {
            ops.adamw(weights, gradients, state, now, clip);
            return;
        }
        long n = group.to() - group.from();
        ops.adamw(
                weights.narrow(0, group.from(), n),
                gradients.narrow(0, group.from(), n),
                state.part(group.from(), n),
                now.decaying(Math.clamp(update.decayed() - group.from(), 0, n)),
                clip);
    }

    /// The norm of the gradient; nothing is updated.
    public double norm() {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            return Tensors.floats(ops.clip(gradients, 0))[0];
        }
    }

    /// Everything besides the weights that the next step depends on, by name: what a checkpoint keeps. The
    /// tensors are the live ones: copy into them to restore, then [#restored].
    public SequencedMap<String, Tensor> state() {
        return state.tensors();
    }

    /// Says how many updates the restored state has seen.
    public void restored(long steps) {
        this.steps = steps;
    }

    @Override
    public void close() {
        state.close();
    }
}
