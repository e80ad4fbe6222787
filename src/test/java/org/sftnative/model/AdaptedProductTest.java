package org.sftnative.model;

import static org.sftnative.support.TensorAssert.assertCloseToScale;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.ops.AtenOps;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// A product's parts against products that are worked out apart, with whatever was in the buffers before.
class AdaptedProductTest {
    private static final long IN = 7;
    private static final long[] OUT = {5, 3, 3};

    /// @param which of q, k and v have an adapter
    @ParameterizedTest
    @CsvSource({"qkv, 1, Float", "qkv, 9, BFloat16", "k, 1, BFloat16", "qv, 9, Float", "v, 1, Float"})
    void whatBuffersHeldBeforeDoesNotCount(String which, long tokens, ScalarType type) {
        try (PointerScope _ = new PointerScope()) {
            torch.manual_seed(1);
            Tensor w = random(type, 11, IN);
            long ranks = 2L * which.length();
            Tensor a = random(type, ranks, IN);
            Tensor whole = w.to(ScalarType.Float).clone();
            List<AdaptedProduct.Part> parts = new ArrayList<>();
            long from = 0;
            for (int i = 0; i < OUT.length; i++) {
                if (which.indexOf("qkv".charAt(i)) >= 0) {
                    AdapterSpec spec =
                            new AdapterSpec("m" + i, 0, Projection.values()[i], IN, OUT[i], 2, 1.5 + i, false);
                    long at = 2L * parts.size();
                    Tensor b = random(type, OUT[i], 2);
                    Tensor low = a.narrow(0, at, 2);
                    Tensor none = Tensors.zeros(ScalarType.Float, Devices.cpu(), 1);
                    parts.add(new AdaptedProduct.Part(spec, from, at, low, b, none, none, Optional.empty()));
                    whole.narrow(0, from, OUT[i])
                            .add_(
                                    torch.mm(b.to(ScalarType.Float), low.to(ScalarType.Float)),
                                    new Scalar(spec.scaling()));
                }
                from += OUT[i];
            }
            AdaptedProduct product = new AdaptedProduct(new FrozenMatrix.Resident(w), parts, a, a, new AtenOps());
            product.reserve(type, Devices.cpu(), tokens + 2);
            Tensor x = random(type, tokens, IN);
            Tensor y = poisoned(type, tokens, 11);
            product.forward(x, y, Optional.empty());
            double tolerance = type == ScalarType.Float ? 1e-6 : 2e-2; // bf16: one rounding is 4e-3
            assertCloseToScale("y", product(x, whole.t()), floats(y), tolerance);
            Tensor dx = poisoned(type, tokens, IN);
            product.inputGradient(y, dx, Optional.empty());
            assertCloseToScale("dx", product(y, whole), floats(dx), tolerance);
            product.free();
        }
    }

    private static Tensor random(ScalarType type, long... shape) {
        return torch.randn(shape).to(type);
    }

    private static Tensor poisoned(ScalarType type, long... shape) {
        return Tensors.zeros(type, Devices.cpu(), shape).fill_(new Scalar(Double.NaN));
    }

    private static float[] product(Tensor x, Tensor w) {
        return floats(torch.mm(x.to(ScalarType.Float), w));
    }

    private static float[] floats(Tensor x) {
        return Tensors.floats(x.to(ScalarType.Float));
    }
}
