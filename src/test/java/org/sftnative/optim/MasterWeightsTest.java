package org.sftnative.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// Updates that are smaller than half a step of bf16 add up: with a constant gradient, 100 AdamW steps of rate lr move
/// a weight by 100 lr. Each alone is rounded away.
class MasterWeightsTest {
    /// @param step distance of neighbours in bf16 there: 2^-8 below 1, 2^-15 below 2^-7
    @ParameterizedTest
    @CsvSource({"1.0, 1e-4, 0.00390625", "0.0078, 1e-6, 3.0517578e-5", "1.0, 1e-3, 0.00390625"})
    void smallUpdatesOfBf16WeightsAddUp(float weight, double rate, double step) {
        try (PointerScope _ = new PointerScope()) {
            Tensor weights =
                    Tensors.zeros(ScalarType.BFloat16, Devices.cpu(), 4).fill_(new Scalar(weight));
            Tensor gradients =
                    Tensors.zeros(ScalarType.BFloat16, Devices.cpu(), 4).fill_(new Scalar(0.5));
            float before = Tensors.floats(weights)[0];
            AdamWState state = AdamWState.create(Masters.SPLIT, Moments.FP32, 4, Devices.cpu());
            AdamWUpdate update = new AdamWUpdate(rate, 0.9, 0.999, 1e-8, 0, 2, 0, 42);
            try (AdamWOptimizer optimizer = new AdamWOptimizer(new AtenOps(), weights, gradients, update, state)) {
                for (int i = 0; i < 100; i++) {
                    optimizer.step(rate, 0);
                }
                for (float moved : Tensors.floats(weights)) { // decayed and not
                    assertEquals(before - 100 * rate, moved, step / 2 + 1e-7);
                }
            }
        }
    }
}
