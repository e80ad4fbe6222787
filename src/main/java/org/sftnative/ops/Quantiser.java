package org.sftnative.ops;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Makes [QuantisedMatrix] of weights, a matrix at a time, on the device where they are kept. All values are worked out
/// in
/// fp32, with divisions and boundaries whose result every device agrees on.
public final class Quantiser implements AutoCloseable {
    /// Weights worked on at a time.
    private static final long CHUNK = 1 << 22;

    /// How weights are kept.
    public enum Kind {
        /// NormalFloat 4, scales in 8 bits: 4.127 bits a weight.
        NF4_DOUBLE,
        /// NormalFloat 4, scales in fp32: 4.5 bits a weight.
        NF4,
        /// A row's absmax / 127: 8 bits a weight.
        INT8
    }

    private final Kind kind;
    private final Device device;
    private final NormalFloat4.Tables tables;
    private final Tensor boundaries; // (15)
    private final Tensor scaleBoundaries; // (255)

    /// @param device where weights are kept
    public Quantiser(Kind kind, Device device) {
        this.kind = kind;
        this.device = device;
        this.tables = NormalFloat4.Tables.on(device);
        this.boundaries = NormalFloat4.table(NormalFloat4.boundaries(NormalFloat4.values()), device);
        this.scaleBoundaries = NormalFloat4.table(NormalFloat4.boundaries(NormalFloat4.scaleValues()), device);
    }

    public Kind kind() {
        return kind;
    }

    /// A matrix of weights in few bits. The weights are not kept, and no second copy of them is made.
    ///
    /// @param weights (rows, columns) of any float type, finite, contiguous, on any device
    /// @return owned by the caller, to be closed
    public QuantisedMatrix quantise(Tensor weights) {
        return kind == Kind.INT8 ? int8(weights) : nf4(weights);
    }

    /// Bytes that a matrix takes.
    public static long plannedBytes(Kind kind, long rows, long columns) {
        long n = Math.multiplyExact(rows, columns);
        long blocks = Math.ceilDiv(n, (long) NormalFloat4.BLOCK);
        return switch (kind) {
            case INT8 -> n + 4 * rows;
            case NF4 -> Math.ceilDiv(n, 2L) + 4 * blocks;
            case NF4_DOUBLE -> Math.ceilDiv(n, 2L) + blocks + 4 * Math.ceilDiv(blocks, (long) NormalFloat4.GROUP) + 4;
        };
    }

    private QuantisedMatrix int8(Tensor weights) {
        long rows = weights.size(0);
        long columns = weights.size(1);
        Tensor codes = Scopes.keep(() -> Tensors.empty(ScalarType.Char, device, rows, columns));
        Tensor absmax = Scopes.keep(() -> Tensors.empty(ScalarType.Float, device, rows));
        long step = Math.max(1, CHUNK / Math.max(1, columns));
        for (long at = 0; at < rows; at += step) {
            long from = at;
            long n = Math.min(step, rows - at);
            Scopes.run(() -> {
                Tensor x = here(weights.narrow(0, from, n));
                Tensor largest = largest(x);
                Tensor scaled = x.mul(new Scalar(127.0)).div(notZero(largest).unsqueeze(1));
                codes.narrow(0, from, n).copy_(torch.round(scaled));
                absmax.narrow(0, from, n).copy_(largest);
            });
        }
        return new QuantisedMatrix.Int8(rows, columns, codes, absmax);
    }

    private QuantisedMatrix nf4(Tensor weights) {
        long rows = weights.size(0);
        long columns = weights.size(1);
        long n = Math.multiplyExact(rows, columns);
        long blocks = Math.ceilDiv(n, (long) NormalFloat4.BLOCK);
        Tensor codes = Scopes.keep(() -> Tensors.empty(ScalarType.Byte, device, Math.ceilDiv(n, 2L)));
        Tensor absmax = Scopes.keep(() -> Tensors.empty(ScalarType.Float, device, blocks));
        for (long at = 0; at < n; at += CHUNK) {
            long from = at;
            long count = Math.min(CHUNK, n - at);
            Scopes.run(() -> {
                Tensor x = inGroups(here(weights.view(n).narrow(0, from, count)), NormalFloat4.BLOCK);
                Tensor largest = largest(x);
                Tensor code = torch.bucketize(x.div(notZero(largest).unsqueeze(1)), boundaries, true, false)
                        .view(-1, 2); // (pairs, 2) int32
                Tensor packed = code.select(1, 0).mul(new Scalar(16)).add(code.select(1, 1));
                long bytes = Math.ceilDiv(count, 2L);
                codes.narrow(0, from / 2, bytes).copy_(packed.narrow(0, 0, bytes));
                absmax.narrow(0, from / NormalFloat4.BLOCK, largest.numel()).copy_(largest);
            });
        }
        if (kind == Kind.NF4) {
            return new QuantisedMatrix.Nf4(rows, columns, codes, new QuantisedMatrix.Scales.Plain(absmax), tables);
        }
        QuantisedMatrix.Scales scales = quantised(absmax);
        Scopes.free(absmax);
        return new QuantisedMatrix.Nf4(rows, columns, codes, scales, tables);
    }

    private QuantisedMatrix.Scales quantised(Tensor absmax) {
        Tensor offset = Scopes.keep(() -> mean(absmax));
        Tensor largest = Scopes.keep(() -> largest(inGroups(absmax.sub(offset), NormalFloat4.GROUP)));
        Tensor codes = Scopes.keep(() -> {
            Tensor scaled = inGroups(absmax.sub(offset), NormalFloat4.GROUP)
                    .div(notZero(largest).unsqueeze(1));
            Tensor code = torch.bucketize(scaled, scaleBoundaries, true, false);
            return code.view(-1).narrow(0, 0, absmax.numel()).to(ScalarType.Byte);
        });
        return new QuantisedMatrix.Scales.Quantised(codes, largest, offset);
    }

    /// The mean, summed in fp64 on the host so that every device has the same: (1) fp32.
    private Tensor mean(Tensor x) {
        double sum = 0;
        float[] values = Tensors.floats(x);
        for (float value : values) {
            sum += value;
        }
        return Tensors.ofFloats(new float[] {(float) (sum / values.length)}, device, 1);
    }

    /// A chunk in fp32 on the device.
    private Tensor here(Tensor weights) {
        return Tensors.to(weights, device).to(ScalarType.Float);
    }

    /// (n) -> (groups, size), zeros after the end.
    private Tensor inGroups(Tensor x, int size) {
        long missing = Math.ceilMod(x.numel(), size);
        Tensor whole =
                missing == 0 ? x : torch.cat(new TensorVector(x, Tensors.zeros(ScalarType.Float, device, -missing)), 0);
        return whole.view(-1, size);
    }

    private static Tensor largest(Tensor rows) {
        return rows.abs().amax(new long[] {1}, false);
    }

    /// A block of zeros is divided by 1.
    private static Tensor notZero(Tensor largest) {
        return largest.masked_fill(largest.eq(new Scalar(0)), new Scalar(1));
    }

    /// The matrices that were made must not be read afterwards.
    @Override
    public void close() {
        tables.close();
        Scopes.free(boundaries);
        Scopes.free(scaleBoundaries);
    }
}
