package org.sftnative.ops;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.kernels.DynamicMap;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The 4-bit data type NormalFloat 4 of QLoRA (arXiv 2305.14314, section 3 and appendix E): 16 values, at quantiles of
/// the normal distribution, of a block divided by its largest magnitude. A code is the place of its value.
final class NormalFloat4 {
    /// Weights that share a scale.
    static final int BLOCK = 64;

    /// Scales that share a scale of their own, with double quantisation.
    static final int GROUP = 256;

    /// Code of 0.
    static final int ZERO = 7;

    private static final float[] VALUES = {
        -1.0f,
        -0.6961928009986877f,
        -0.5250730514526367f,
        -0.39491748809814453f,
        -0.28444138169288635f,
        -0.18477343022823334f,
        -0.09105003625154495f,
        0.0f,
        0.07958029955625534f,
        0.16093020141124725f,
        0.24611230194568634f,
        0.33791524171829224f,
        0.44070982933044434f,
        0.5626170039176941f,
        0.7229568362236023f,
        1.0f
    };

    private NormalFloat4() {}

    /// What reading needs on a device, shared by all matrices there.
    ///
    /// @param values (16) fp32
    /// @param pairs (256) int64: the two fp32 values of each byte, so that one look-up gives both
    /// @param scaleValues (256) fp32: those of an 8-bit scale
    record Tables(Tensor values, Tensor pairs, Tensor scaleValues) implements AutoCloseable {
        static Tables on(Device device) {
            return new Tables(
                    table(NormalFloat4.values(), device),
                    Scopes.keep(() -> Tensors.ofFloats(NormalFloat4.pairs(), device, 2 * 256)
                            .view(ScalarType.Long)),
                    table(NormalFloat4.scaleValues(), device));
        }

        @Override
        public void close() {
            Scopes.free(values);
            Scopes.free(pairs);
            Scopes.free(scaleValues);
        }
    }

    /// Kept until it is freed.
    static Tensor table(float[] values, Device device) {
        return Scopes.keep(() -> Tensors.ofFloats(values, device, values.length));
    }

    /// The values, by code.
    static float[] values() {
        return VALUES.clone();
    }

    /// Two values a byte: the high half of a byte comes first, as in bitsandbytes' packing.
    static float[] pairs() {
        float[] pairs = new float[2 * 256];
        for (int code = 0; code < 256; code++) {
            pairs[2 * code] = VALUES[code >> 4];
            pairs[2 * code + 1] = VALUES[code & 15];
        }
        return pairs;
    }

    /// The values of an 8-bit scale: the dynamic map, as bitsandbytes has it.
    static float[] scaleValues() {
        return DynamicMap.signed();
    }

    /// What lies midway between neighbours: a number above boundary i has a code above i.
    static float[] boundaries(float[] ascending) {
        float[] boundaries = new float[ascending.length - 1];
        for (int i = 0; i < boundaries.length; i++) {
            boundaries[i] = (float) (((double) ascending[i] + ascending[i + 1]) / 2);
        }
        return boundaries;
    }
}
