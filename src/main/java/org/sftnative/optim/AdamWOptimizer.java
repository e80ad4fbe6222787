package org.sftnative.optim;

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
    private long steps;

    /// @param weights (n) flat; updated in place
    /// @param gradients (n) flat
    /// @param update betas, epsilon, weight decay and what it spares; rate and step are each update's own
    /// @param state of n elements, closed with this
    public AdamWOptimizer(Ops ops, Tensor weights, Tensor gradients, AdamWUpdate update, AdamWState state) {
        this.ops = ops;
        this.weights = weights;
        this.gradients = gradients;
        this.update = update;
        this.state = state;
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
            ops.adamw(weights, gradients, state, update.at(learningRate, steps + 1), clip);
            float[] read = Tensors.floats(clip); // the one read of the device that a step's end costs
            if (read[2] != 0) {
                steps++;
            }
            return read[0];
        }
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
