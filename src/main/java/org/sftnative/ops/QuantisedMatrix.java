package org.sftnative.ops;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Scopes;

/// A matrix (rows, columns) of weights in few bits, made by a [Quantiser]. It is read by [Ops#dequantise], whole, into
/// a buffer that many matrices share.
public sealed interface QuantisedMatrix extends AutoCloseable {
    long rows();

    long columns();

    /// Everything that is kept, on the device.
    List<Tensor> tensors();

    /// Bytes of what is kept.
    default long bytes() {
        return tensors().stream().mapToLong(Tensor::nbytes).sum();
    }

    /// Gives the memory back.
    @Override
    default void close() {
        tensors().forEach(Scopes::free);
    }

    /// NormalFloat 4 in blocks of 64 weights, counted in row-major order across rows. w = value(code) * scale.
    ///
    /// @param codes (ceil(rows * columns / 2)) uint8: two codes a byte, the first in the high half
    /// @param tables the quantiser's, which must stay open
    record Nf4(long rows, long columns, Tensor codes, Scales scales, NormalFloat4.Tables tables)
            implements QuantisedMatrix {
        @Override
        public List<Tensor> tensors() {
            return switch (scales) {
                case Scales.Plain(Tensor absmax) -> List.of(codes, absmax);
                case Scales.Quantised(Tensor scaleCodes, Tensor absmax, Tensor offset) ->
                    List.of(codes, scaleCodes, absmax, offset);
            };
        }
    }

    /// 8-bit integers, each row with its own scale, as the weights of LLM.int8 (arXiv 2208.07339): w = code *
    /// scale / 127. No weight is off by more than its row's largest magnitude / 254 and fp32's rounding.
    ///
    /// @param codes (rows, columns) int8, -127 to 127
    /// @param absmax (rows) fp32: the largest magnitude
    record Int8(long rows, long columns, Tensor codes, Tensor absmax) implements QuantisedMatrix {
        @Override
        public List<Tensor> tensors() {
            return List.of(codes, absmax);
        }
    }

    /// The scales of blocks: the largest magnitude in each.
    sealed interface Scales {
        /// 0.5 bits a weight.
        ///
        /// @param absmax (blocks) fp32
        record Plain(Tensor absmax) implements Scales {}

        /// 0.127 bits a weight: each scale less their mean, in groups of 256, in 8 bits.
        /// scale = map(code) * absmax + offset.
        ///
        /// @param codes (blocks) uint8
        /// @param absmax (ceil(blocks / 256)) fp32: the largest magnitude in each group
        /// @param offset (1) fp32: the mean
        record Quantised(Tensor codes, Tensor absmax, Tensor offset) implements Scales {}
    }
}
