package org.sftnative.model;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Dropout of adapters' inputs. What is dropped is a function of seed, step, the tokens of a document, the position in
/// it, module and column: not of the micro-batch, and it is computed again wherever it is needed, not kept.
///
/// @param rate part that is dropped
/// @param rowKeys (T) int32, a key for each row
record AdapterDropout(double rate, Tensor rowKeys) {
    private static final int BITS = 24;

    /// The same for some of the rows.
    AdapterDropout rows(Tensor wanted) {
        return new AdapterDropout(rate, rowKeys.index_select(0, wanted));
    }

    /// x with its dropped elements zero and the others divided by 1 - rate; its own backward pass, too.
    ///
    /// @param x (T, in)
    Tensor drop(String module, Tensor x) {
        return Scopes.yield(() -> x.mul(factors(module, x)));
    }

    /// (T, in) of 0 and 1 / (1 - rate), in x's dtype.
    private Tensor factors(String module, Tensor x) {
        Scalar salt = new Scalar(module.hashCode() * 0x9E3779B9 | 1);
        Tensor columns = torch.arange(new Scalar(x.size(1)), Tensors.options(ScalarType.Int, x.device()));
        Tensor rows = mix(rowKeys.add(salt)).unsqueeze(1);
        Tensor bits = mix(rows.add(mix(columns.mul(salt).add(salt))));
        Tensor uniform = bits.bitwise_and(new Scalar((1 << BITS) - 1));
        Tensor kept = uniform.ge(new Scalar((int) Math.round(rate * (1 << BITS))));
        return kept.to(x.scalar_type()).mul_(new Scalar(1 / (1 - rate)));
    }

    /// MurmurHash3's finalizer, on int32 that wraps.
    private static Tensor mix(Tensor h) {
        return shifted(shifted(shifted(h, 16).mul_(new Scalar(0x85EBCA6B)), 13).mul_(new Scalar(0xC2B2AE35)), 16);
    }

    /// h ^ (h >>> bits).
    private static Tensor shifted(Tensor h, int bits) {
        Tensor right = h.bitwise_right_shift(new Scalar(bits)).bitwise_and_(new Scalar(-1 >>> bits));
        return right.bitwise_xor_(h);
    }
}
