package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Products that add up in fp32, whatever their factors are.
final class WideGemm {
    private WideGemm() {}

    /// target += dy^T @ x.
    ///
    /// @param target (n, k) fp32
    /// @param dy (T, n) fp32 or bf16
    /// @param x (T, k), of the same type
    static void add(Tensor target, Tensor dy, Tensor x) {
        Scopes.run(() -> {
            if (Tensors.is(x, ScalarType.Float)) {
                target.addmm_(dy.t(), x);
            } else if (x.is_cuda()) {
                torch.addmm_out(target, target, dy.t(), x, ScalarType.Float);
            } else {
                target.addmm_(dy.to(ScalarType.Float).t(), x.to(ScalarType.Float));
            }
        });
    }
}
