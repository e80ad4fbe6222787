package org.sftnative.model;

import java.util.HashMap;
import java.util.Map;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.Ops;
import org.sftnative.ops.QuantisedMatrix;
import org.sftnative.ops.Quantiser;

/// The blocks' matrices in NF4 or 8 bits.
public final class QuantisedMatrices implements PackedMatrices {
    private final Ops ops;
    private final Quantiser quantiser;
    private final Map<String, QuantisedMatrix> matrices = new HashMap<>();

    /// @param ops unpacks
    /// @param device where the matrices are kept
    public QuantisedMatrices(Quantiser.Kind kind, Ops ops, Device device) {
        this.ops = ops;
        this.quantiser = new Quantiser(kind, device);
    }

    @Override
    public void put(String name, Tensor weight) {
        matrices.put(name, quantiser.quantise(weight));
    }

    @Override
    public boolean has(String name) {
        return matrices.containsKey(name);
    }

    @Override
    public long[] shape(String name) {
        QuantisedMatrix matrix = matrices.get(name);
        return new long[] {matrix.rows(), matrix.columns()};
    }

    @Override
    public void into(String name, Tensor target) {
        ops.dequantise(matrices.get(name), target);
    }

    @Override
    public long bytes() {
        return matrices.values().stream().mapToLong(QuantisedMatrix::bytes).sum();
    }

    /// Bytes of a model's matrices, before any is there.
    public static long plannedBytes(Quantiser.Kind kind, LlamaConfig c) {
        long bytes = 0;
        for (Projection p : Projection.values()) {
            bytes += Quantiser.plannedBytes(kind, p.out(c), p.in(c));
        }
        return bytes * c.nLayer();
    }

    @Override
    public void close() {
        matrices.values().forEach(QuantisedMatrix::close);
        matrices.clear();
        quantiser.close();
    }
}
