package org.sftnative.model;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.Ops;
import org.sftnative.ops.QuantisedMatrix;
import org.sftnative.ops.Quantiser;

/// The matrices of a model's blocks in NormalFloat 4 or in 8 bits. Norms, biases, embedding and head are not among
/// them: as bitsandbytes under transformers, which leaves out the head.
public final class QuantisedMatrices implements PackedMatrices {
    private final Ops ops;
    private final Quantiser quantiser;
    private final Map<String, QuantisedMatrix> matrices = new LinkedHashMap<>();

    /// None yet.
    ///
    /// @param ops reads the matrices
    /// @param device where they are kept
    public QuantisedMatrices(Quantiser.Kind kind, Ops ops, Device device) {
        this.ops = ops;
        this.quantiser = new Quantiser(kind, device);
    }

    @Override
    public void put(String name, Tensor weight) {
        if (matrices.containsKey(name)) {
            throw new IllegalStateException(name + " is packed already");
        }
        matrices.put(name, quantiser.quantise(weight));
    }

    @Override
    public boolean has(String name) {
        return matrices.containsKey(name);
    }

    @Override
    public long[] shape(String name) {
        QuantisedMatrix matrix = matrix(name);
        return new long[] {matrix.rows(), matrix.columns()};
    }

    @Override
    public void into(String name, Tensor target) {
        ops.dequantise(matrix(name), target);
    }

    private QuantisedMatrix matrix(String name) {
        QuantisedMatrix matrix = matrices.get(name);
        if (matrix == null) {
            throw new IllegalArgumentException("no matrix '" + name + "' is packed");
        }
        return matrix;
    }

    @Override
    public long bytes() {
        return matrices.values().stream().mapToLong(QuantisedMatrix::bytes).sum();
    }

    /// Bytes that the matrices of a model take.
    public static long plannedBytes(Quantiser.Kind kind, LlamaConfig config) {
        long layer = 0;
        for (Projection projection : Projection.values()) {
            layer += Quantiser.plannedBytes(kind, projection.out(config), projection.in(config));
        }
        return layer * config.nLayer();
    }

    @Override
    public void close() {
        matrices.values().forEach(QuantisedMatrix::close);
        matrices.clear();
        quantiser.close();
    }
}
