package org.sftnative.ops;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.sftnative.ops.PooledAttention.Layout;
import org.sftnative.ops.PooledAttention.Range;
import org.sftnative.support.TensorAssert;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;
import org.sftnative.tensor.Torch;

/// Attention over a pool against the formula, text by text. 8 query heads on 2 kv heads of 32.
class PooledAttentionTest {
    private static final int H = 8;
    private static final int K = 2;
    private static final int D = 32;
    private static final int POOL = 100;

    /// Neighbours of one size, a gap, one of another size; in different stages.
    private static final List<Range> RANGES =
            List.of(new Range(0, 20), new Range(20, 20), new Range(40, 20), new Range(65, 35));

    private static final int[] LENGTHS = {20, 3, 1, 30};

    @Test
    void eachTextAttendsToItsOwnTokensAndToNothingElse() {
        compare(Devices.cpu(), ScalarType.Float, false, 1e-6);
    }

    /// bf16 keeps 8 bits: errors measured on values around 1 are below 1e-2.
    @Test
    @Tag("gpu")
    void flashAttentionReadsRangesThatDoNotTouch() {
        Torch.start(1);
        compare(Devices.parse("cuda"), ScalarType.BFloat16, true, 2e-2);
    }

    private static void compare(Device device, ScalarType type, boolean flash, double tolerance) {
        try (PointerScope _ = new PointerScope()) {
            Layout layout = new Layout(H, K, D, flash);
            Tensor pool = torch.full(
                    new long[] {POOL * 2L * K, D}, new Scalar(1e3), Tensors.options(type, device)); // of others
            Tensor q = random(device, type, LENGTHS.length, H, D);
            Tensor expected = Tensors.empty(ScalarType.Float, device, LENGTHS.length, H, D);
            for (int i = 0; i < LENGTHS.length; i++) {
                int n = LENGTHS[i];
                Tensor kv = random(device, type, n, 2 * K, D);
                List<Range> ranges = Collections.nCopies(n, RANGES.get(i));
                int[] positions = IntStream.range(0, n).toArray();
                new PooledAttention(layout, ranges, positions, 0, type, device).write(kv, pool);
                Tensor wide = kv.to(ScalarType.Float);
                for (int h = 0; h < H; h++) {
                    Tensor k = wide.select(1, h / (H / K));
                    Tensor v = wide.select(1, K + h / (H / K));
                    Tensor one = q.select(0, i).select(0, h).to(ScalarType.Float);
                    Tensor share =
                            torch.mv(k, one).div(new Scalar(Math.sqrt(D))).softmax(0);
                    expected.select(0, i).select(0, h).copy_(torch.mv(v.t(), share));
                }
            }
            int[] last = new int[LENGTHS.length];
            Arrays.setAll(last, i -> LENGTHS[i] - 1);
            Tensor out = Tensors.empty(type, device, LENGTHS.length, H, D);
            new PooledAttention(layout, RANGES, last, LENGTHS.length, type, device).attend(q, pool, out);
            TensorAssert.assertClose("attention", Tensors.floats(expected), Tensors.floats(out), tolerance);
        }
    }

    private static Tensor random(Device device, ScalarType type, long... shape) {
        return torch.randn(shape, Tensors.options(ScalarType.Float, device)).to(type);
    }
}
