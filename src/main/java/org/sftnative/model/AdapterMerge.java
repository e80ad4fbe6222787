package org.sftnative.model;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Folding adapters into the weights that they were trained over: W + scaling B A, with DoRA its rows scaled to the
/// trained magnitudes. Worked out in fp32, one matrix at a time, and rounded once, to the dtype of the weights.
public final class AdapterMerge {
    private AdapterMerge() {}

    /// Changes the weights of a model to those that compute what model and adapters compute together.
    ///
    /// @param weights whole matrices, not quantised ones
    public static void fold(Adapters adapters, Parameters weights) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (AdapterSpec spec : adapters.specs()) {
                try (PointerScope _ = new PointerScope()) {
                    Tensor weight = weights.weight(spec.weight());
                    weight.copy_(folded(adapters, spec, weight.to(ScalarType.Float)));
                }
            }
            for (String name : adapters.saved()) {
                weights.weight(name).copy_(adapters.saved(name).orElseThrow());
            }
        }
    }

    /// @param weight (out, in) fp32
    private static Tensor folded(Adapters adapters, AdapterSpec spec, Tensor weight) {
        Tensor sum = weight.add(torch.mm(adapters.b(spec), adapters.a(spec)), new Scalar(spec.scaling()));
        if (!spec.dora()) {
            return sum;
        }
        Tensor norm = torch.square(sum)
                .sum(new long[] {1}, true, new ScalarTypeOptional())
                .sqrt(); // (out, 1)
        return sum.mul(adapters.magnitude(spec).unsqueeze(1).div(norm));
    }
}
