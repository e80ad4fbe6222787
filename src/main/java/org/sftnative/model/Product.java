package org.sftnative.model;

import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.Ops;

/// One of the four matrix products of a block, forward and backward: q, k and v as one, the attention's output, gate
/// and up as one, down. T rows, biases apart.
sealed interface Product permits Product.Full, Product.Frozen, AdaptedProduct {
    /// y = what the product gives for x.
    ///
    /// @param x (T, in)
    /// @param y (T, out), written
    /// @param dropout of the adapters' inputs, while training
    void forward(Tensor x, Tensor y, Optional<AdapterDropout> dropout);

    /// dx = the gradient of x.
    ///
    /// @param dy (T, out)
    /// @param dx (T, in), written
    /// @return what [#weightGradient] needs besides
    Flow inputGradient(Tensor dy, Tensor dx, Optional<AdapterDropout> dropout);

    /// The same where nothing before the product is trained.
    Flow noInputGradient(Tensor dy);

    /// Adds the gradient of what is trained here.
    ///
    /// @param x (T, in)
    /// @param fresh whether this is the first micro-batch of its step
    void weightGradient(Tensor dy, Tensor x, Flow flow, boolean fresh, Optional<AdapterDropout> dropout);

    /// What flows from one half of the backward pass to the other.
    ///
    /// @param low (T, r) gradients of the adapters' middles
    /// @param scaled (T, out) gradients, each row of the weight's times its magnitude; empty without DoRA
    record Flow(List<Tensor> low, List<Tensor> scaled) {
        static final Flow NONE = new Flow(List.of(), List.of());
    }

    /// A matrix that is trained itself.
    ///
    /// @param weight (out, in)
    /// @param gradient (out, in)
    /// @param biasGradient (out)
    record Full(Tensor weight, Tensor gradient, Optional<Tensor> biasGradient, Ops ops) implements Product {
        @Override
        public void forward(Tensor x, Tensor y, Optional<AdapterDropout> dropout) {
            ops.matmul(Ops.Form.NT, x, weight, y, false);
        }

        @Override
        public Flow inputGradient(Tensor dy, Tensor dx, Optional<AdapterDropout> dropout) {
            ops.matmul(Ops.Form.NN, dy, weight, dx, false);
            return Flow.NONE;
        }

        @Override
        public Flow noInputGradient(Tensor dy) {
            return Flow.NONE;
        }

        @Override
        public void weightGradient(Tensor dy, Tensor x, Flow flow, boolean fresh, Optional<AdapterDropout> dropout) {
            ops.matmul(Ops.Form.TN, dy, x, gradient, !fresh);
            biasGradient.ifPresent(bias -> ops.biasBackward(dy, bias));
        }
    }

    /// A frozen matrix without an adapter.
    record Frozen(FrozenMatrix matrix, Ops ops) implements Product {
        @Override
        public void forward(Tensor x, Tensor y, Optional<AdapterDropout> dropout) {
            ops.matmul(Ops.Form.NT, x, matrix.get(), y, false);
        }

        @Override
        public Flow inputGradient(Tensor dy, Tensor dx, Optional<AdapterDropout> dropout) {
            ops.matmul(Ops.Form.NN, dy, matrix.get(), dx, false);
            return Flow.NONE;
        }

        @Override
        public Flow noInputGradient(Tensor dy) {
            return Flow.NONE;
        }

        @Override
        public void weightGradient(Tensor dy, Tensor x, Flow flow, boolean fresh, Optional<AdapterDropout> dropout) {}
    }
}
