package org.sftnative.ops;

import static org.sftnative.tensor.Aten.list;
import static org.sftnative.tensor.Aten.none;
import static org.sftnative.tensor.Aten.of;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// [Ops] through libtorch's own kernels.
public final class AtenOps implements Ops {
    @Override
    public void adamw(Tensor weights, Tensor gradients, Tensor m, Tensor v, AdamWUpdate a) {
        Scopes.run(() -> {
            Tensor step = Tensors.zeros(ScalarType.Float, weights.device()).add_(new Scalar(a.step()));
            Aten.call(
                    "aten::_fused_adamw_",
                    list(weights),
                    list(gradients),
                    list(m),
                    list(v),
                    list(),
                    list(step),
                    of(a.learningRate()),
                    of(a.beta1()),
                    of(a.beta2()),
                    of(a.weightDecay()),
                    of(a.epsilon()),
                    of(false),
                    of(false),
                    none(),
                    none());
        });
    }

    @Override
    public Tensor norm(Tensor flat) {
        return torch.linalg_vector_norm(
                flat, new Scalar(2.0), new long[] {0}, false, new ScalarTypeOptional(ScalarType.Float));
    }
}
