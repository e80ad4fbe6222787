package org.sftnative.ops;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.function.BiFunction;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// What AdamW keeps beside the weights, over flat buffers of n elements.
///
/// @param masters how the weights are kept exact
/// @param moments how the moments are kept
/// @param low (n) int16, the masters' low halves; empty unless SPLIT
/// @param m (n) first moments: fp32, bf16 or uint8 codes
/// @param v (n) second moments, likewise
/// @param mScale (ceil(n / 256)) fp32, the scales of m; empty unless BLOCK8
/// @param vScale likewise of v
public record AdamWState(Masters masters, Moments moments, Tensor low, Tensor m, Tensor v, Tensor mScale, Tensor vScale)
        implements AutoCloseable {
    private static final int BLOCK = 256;

    /// How weights are kept between updates.
    public enum Masters {
        /// fp32 weights: they are their own masters.
        FP32,
        /// bf16, the fp32 master rounded half away from zero, and beside it the master's low 16 bits: exact.
        SPLIT,
        /// bf16, rounded stochastically: right on average.
        STOCHASTIC,
        /// bf16, rounded to nearest: updates smaller than half a unit are lost.
        NONE
    }

    /// How moments are kept.
    public enum Moments {
        FP32(ScalarType.Float),
        /// m to nearest, v stochastically: to nearest, v could not decay at beta2 0.999.
        BF16(ScalarType.BFloat16),
        /// Blocks of 256 codes of 8 bits with an fp32 scale.
        BLOCK8(ScalarType.Byte);

        private final ScalarType type;

        Moments(ScalarType type) {
            this.type = type;
        }
    }

    /// Zero moments, and low halves of weights that are their masters so far.
    ///
    /// @param n elements of the flat buffers
    public static AdamWState create(Masters masters, Moments moments, long n, Device device) {
        return create(masters, moments, n, (type, count) -> Tensors.zeros(type, device, count));
    }

    /// The same in memory that the caller chooses.
    ///
    /// @param zeros makes a tensor of a type and of so many elements, all zero
    public static AdamWState create(
            Masters masters, Moments moments, long n, BiFunction<ScalarType, Long, Tensor> zeros) {
        long scales = moments == Moments.BLOCK8 ? Math.ceilDiv(n, (long) BLOCK) : 0;
        return new AdamWState(
                masters,
                moments,
                Scopes.keep(() -> zeros.apply(ScalarType.Short, masters == Masters.SPLIT ? n : 0)),
                Scopes.keep(() -> zeros.apply(moments.type, n)),
                Scopes.keep(() -> zeros.apply(moments.type, n)),
                Scopes.keep(() -> zeros.apply(ScalarType.Float, scales)),
                Scopes.keep(() -> zeros.apply(ScalarType.Float, scales)));
    }

    /// Everything that the next update depends on, by name: what a checkpoint keeps.
    public SequencedMap<String, Tensor> tensors() {
        SequencedMap<String, Tensor> all = new LinkedHashMap<>();
        all.put("exp_avg", m);
        all.put("exp_avg_sq", v);
        if (masters == Masters.SPLIT) {
            all.put("master_low", low);
        }
        if (moments == Moments.BLOCK8) {
            all.put("exp_avg_scale", mScale);
            all.put("exp_avg_sq_scale", vScale);
        }
        return all;
    }

    /// The state of some elements, views that belong to the scope around the call.
    ///
    /// @throws IllegalArgumentException if there are blocks, of 8-bit moments or of random bits, and they do
    ///     not begin where one does
    public AdamWState part(long from, long n) {
        if (from % BLOCK != 0 && (masters == Masters.STOCHASTIC || moments != Moments.FP32)) {
            throw new IllegalArgumentException(
                    masters + " weights with " + moments + " moments have no part from element " + from);
        }
        return new AdamWState(
                masters,
                moments,
                some(low, from, n),
                some(m, from, n),
                some(v, from, n),
                some(mScale, from / BLOCK, Math.ceilDiv(n, (long) BLOCK)),
                some(vScale, from / BLOCK, Math.ceilDiv(n, (long) BLOCK)));
    }

    private static Tensor some(Tensor values, long from, long n) {
        return values.numel() == 0 ? values : values.narrow(0, from, n);
    }

    @Override
    public void close() {
        Scopes.free(low);
        Scopes.free(m);
        Scopes.free(v);
        Scopes.free(mScale);
        Scopes.free(vScale);
    }
}
