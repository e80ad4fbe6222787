package org.sftnative.ops;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Reading quantised matrices through libtorch, on any device: the plain reference of the CUDA kernel.
final class Dequantisation {
    /// Weights worked out at a time, in fp32: what a core's cache holds; on a card so many that launches do not count.
    private static final long CPU_CHUNK = 1 << 17;

    private static final long CUDA_CHUNK = 1 << 24;

    private Dequantisation() {}

    static void into(QuantisedMatrix weights, Tensor to) {
        long rows = weights.rows();
        long step = Math.max(1, (to.is_cuda() ? CUDA_CHUNK : CPU_CHUNK) / Math.max(1, weights.columns()));
        if (weights instanceof QuantisedMatrix.Nf4) {
            // a chunk begins with a block: rows of 100 begin with one at every 16th row
            long whole = NormalFloat4.BLOCK / gcd(NormalFloat4.BLOCK, weights.columns());
            step = Math.ceilDiv(step, whole) * whole;
        }
        for (long at = 0; at < rows; at += step) {
            long from = at;
            long n = Math.min(step, rows - at);
            Scopes.run(() -> to.narrow(0, from, n)
                    .copy_(
                            switch (weights) {
                                case QuantisedMatrix.Nf4 nf4 -> nf4(nf4, from, n);
                                case QuantisedMatrix.Int8 int8 -> int8(int8, from, n);
                            }));
        }
    }

    private static Tensor int8(QuantisedMatrix.Int8 w, long from, long n) {
        Tensor scale = w.absmax().narrow(0, from, n).div(new Scalar(127.0)).unsqueeze(1);
        return w.codes().narrow(0, from, n).to(ScalarType.Float).mul(scale);
    }

    /// Rows of a matrix: (n, columns) fp32. `from` begins a block.
    private static Tensor nf4(QuantisedMatrix.Nf4 w, long from, long n) {
        long first = from * w.columns();
        long count = n * w.columns();
        long bytes = Math.ceilDiv(count, 2L);
        Tensor codes = w.codes().narrow(0, first / 2, bytes).to(ScalarType.Int);
        Tensor values = w.tables().pairs().index_select(0, codes).view(ScalarType.Float); // (2 bytes)
        long block = NormalFloat4.BLOCK;
        Tensor scales = scales(w, first / block, Math.ceilDiv(count, block));
        long whole = count / block * block;
        values.narrow(0, 0, whole)
                .view(-1, block)
                .mul_(scales.narrow(0, 0, whole / block).unsqueeze(1));
        if (whole < count) {
            values.narrow(0, whole, count - whole).mul_(scales.narrow(0, whole / block, 1));
        }
        return values.narrow(0, 0, count).view(n, w.columns());
    }

    private static Tensor scales(QuantisedMatrix.Nf4 w, long first, long count) {
        return switch (w.scales()) {
            case QuantisedMatrix.Scales.Plain(Tensor absmax) -> absmax.narrow(0, first, count);
            case QuantisedMatrix.Scales.Quantised(Tensor codes, Tensor absmax, Tensor offset) -> {
                Tensor values = w.tables()
                        .scaleValues()
                        .index_select(0, codes.narrow(0, first, count).to(ScalarType.Int));
                Tensor group = torch.arange(
                                new Scalar(first),
                                new Scalar(first + count),
                                Tensors.options(ScalarType.Int, codes.device()))
                        .__rshift__(new Scalar(8)); // block / 256
                yield values.mul(absmax.index_select(0, group)).add(offset);
            }
        };
    }

    private static long gcd(long a, long b) {
        return b == 0 ? a : gcd(b, a % b);
    }
}
