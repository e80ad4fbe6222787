package org.sftnative.train;

import java.nio.file.Path;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.InputException;
import org.sftnative.model.Parameters;

/// Refuses weights that no training can mend.
final class FiniteWeights {
    private FiniteWeights() {}

    /// @param file where they come from
    /// @throws InputException naming the first weight that holds NaN or an infinity, and how many
    static void check(Parameters weights, Path file) {
        try (NoGradGuard _ = new NoGradGuard()) {
            for (String name : weights.layout().slots().keySet()) {
                try (PointerScope _ = new PointerScope()) {
                    Tensor weight = weights.weight(name);
                    // one number of a tensor tells of all its values; only where it is none, they are counted
                    if (Double.isFinite(weight.sum().item_double())) {
                        continue;
                    }
                    long wrong = weight.numel() - torch.isfinite(weight).sum().item_long();
                    if (wrong > 0) {
                        throw new InputException(file + ": " + wrong + " of the " + weight.numel() + " values of '"
                                + name + "' are NaN or infinite\n  the model is broken: take another copy, or an"
                                + " earlier checkpoint");
                    }
                }
            }
        }
    }
}
