package org.sftnative.model;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.InputException;

/// Folding adapters into the weights that they were trained over: W + scaling B A, with DoRA its rows scaled to the
/// trained magnitudes. Worked out in fp32, one matrix at a time, and rounded once, to the dtype of the weights.
public final class AdapterMerge {
    private AdapterMerge() {}

    /// Refuses adapters that cannot be folded.
    ///
    /// @throws InputException if they hold a trained copy of a weight that the model has in two places
    public static void check(AdapterConfig config, LlamaConfig model) {
        boolean parted = config.savedWeights(model).stream()
                .anyMatch(name -> name.equals("lm_head.weight") || name.equals("model.embed_tokens.weight"));
        if (model.tieWordEmbeddings() && parted) {
            throw new InputException("the adapter's modules_to_save " + config.modulesToSave() + " cannot be folded:"
                    + " the model's embedding and head are one weight, of which the adapter changed one place"
                    + "\n  apply it as it is, with --adapter");
        }
    }

    /// Changes the weights of a model to those that compute what model and adapters compute together.
    ///
    /// @param weights whole matrices, not quantised ones
    /// @throws InputException as [#check] does
    public static void fold(Adapters adapters, LlamaConfig model, Parameters weights) {
        check(adapters.config(), model);
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
