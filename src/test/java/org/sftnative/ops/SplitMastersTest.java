package org.sftnative.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.sftnative.support.TensorAssert.assertBitEqual;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.support.NativeScope;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// bf16 weights with the low halves of their fp32 masters beside them lose nothing.
@ExtendWith(NativeScope.class)
class SplitMastersTest {
    @Test
    void everyLowHalfOfEveryKindOfNumberComesBack() {
        int[] uppers = {0x0000, 0x8000, 0x3f80, 0xbf80, 0x0001, 0x7f7f, 0xff7e, 0x4049, 0x3f7f};
        for (int upper : uppers) {
            float[] values = new float[1 << 16];
            for (int low = 0; low < values.length; low++) {
                values[low] = Float.intBitsToFloat(upper << 16 | low);
            }
            boolean overflows = upper == 0x7f7f; // rounds to infinity from the tie on: its bits come back all the same
            Tensor master = Tensors.ofFloats(values, Devices.cpu(), values.length);
            Tensor hi = Tensors.empty(ScalarType.BFloat16, Devices.cpu(), values.length);
            Tensor lo = Tensors.empty(ScalarType.Short, Devices.cpu(), values.length);
            AtenAdamW.split(master, hi, lo);
            assertBitEqual("upper half " + Integer.toHexString(upper), master, AtenAdamW.joined(hi, lo));
            for (int low = 0; low < values.length && !overflows; low += 997) {
                int rounded = Float.floatToRawIntBits(values[low]) + 0x8000 >> 16;
                assertEquals(
                        rounded & 0xffff,
                        (int) Tensors.longs(hi.view(ScalarType.Short).narrow(0, low, 1))[0] & 0xffff);
            }
        }
    }

    @Test
    void infinitiesStayInfiniteAndNanStaysNan() {
        float[] values = {
            Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN, Float.intBitsToFloat(0x7f800001), 0f, -0f
        };
        Tensor master = Tensors.ofFloats(values, Devices.cpu(), values.length);
        Tensor hi = Tensors.empty(ScalarType.BFloat16, Devices.cpu(), values.length);
        Tensor lo = Tensors.empty(ScalarType.Short, Devices.cpu(), values.length);
        AtenAdamW.split(master, hi, lo);
        for (float[] back : new float[][] {Tensors.floats(hi), Tensors.floats(AtenAdamW.joined(hi, lo))}) {
            for (int i = 0; i < values.length; i++) {
                assertEquals(values[i], back[i], "value " + i); // NaN equals NaN, -0 does not equal 0
            }
        }
    }

    @Test
    void aHundredStepsEqualThoseOfFp32WeightsBitForBit() {
        int n = 3 * 512 + 7;
        torch.manual_seed(3);
        Tensor weights = torch.randn(new long[] {n}).to(ScalarType.BFloat16).to(ScalarType.Float);
        Tensor narrow = weights.to(ScalarType.BFloat16);
        AtenOps ops = new AtenOps();
        AdamWUpdate update = new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0.1, 0, 1024, 0, 0);
        try (AdamWState wide = AdamWState.create(Masters.FP32, Moments.FP32, n, Devices.cpu());
                AdamWState split = AdamWState.create(Masters.SPLIT, Moments.FP32, n, Devices.cpu())) {
            for (int step = 1; step <= 100; step++) {
                Tensor gradient = torch.randn(new long[] {n}).to(ScalarType.BFloat16);
                Tensor clip = ops.clip(gradient, 0);
                ops.adamw(weights, gradient.to(ScalarType.Float), wide, update.at(1e-5, step), clip);
                ops.adamw(narrow, gradient, split, update.at(1e-5, step), clip);
            }
            assertBitEqual("masters", weights, AtenAdamW.joined(narrow, split.low()));
            assertBitEqual("m", wide.m(), split.m());
        }
    }

    @Test
    void updatesFarBelowABf16StepAddUp() {
        Tensor weights = Tensors.zeros(ScalarType.BFloat16, Devices.cpu(), 8).fill_(new Scalar(1.0));
        Tensor gradient = Tensors.zeros(ScalarType.BFloat16, Devices.cpu(), 8).fill_(new Scalar(1.0));
        AtenOps ops = new AtenOps();
        AdamWUpdate update = new AdamWUpdate(0, 0.9, 0.999, 1e-8, 0, 0, 8, 0, 0);
        try (AdamWState state = AdamWState.create(Masters.SPLIT, Moments.FP32, 8, Devices.cpu())) {
            for (int step = 1; step <= 100; step++) {
                ops.adamw(weights, gradient.clone(), state, update.at(1e-4, step), ops.clip(gradient, 0));
            }
        }
        // 100 steps of 1e-4: from 1 to 0.99; a bf16 step below 1 is 0.0039, so each alone is lost
        assertEquals(0.99, Tensors.floats(weights)[0], 0.002);
    }

    @Test
    void aGradientThatIsNotFiniteChangesNothing() {
        Tensor weights = torch.randn(new long[] {64});
        Tensor before = weights.clone();
        Tensor gradient = torch.ones(64);
        gradient.narrow(0, 63, 1).fill_(new Scalar(Double.NaN));
        AtenOps ops = new AtenOps();
        try (AdamWState state = AdamWState.create(Masters.FP32, Moments.FP32, 64, Devices.cpu())) {
            Tensor clip = ops.clip(gradient, 1);
            ops.adamw(weights, gradient, state, new AdamWUpdate(1, 0.9, 0.999, 1e-8, 0, 0, 64, 1, 0), clip);
            assertBitEqual("weights", before, weights);
            assertEquals(0, Tensors.floats(state.m())[0]);
            assertEquals(0, Tensors.floats(clip)[2]);
        }
    }
}
