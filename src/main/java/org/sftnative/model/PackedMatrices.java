package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;

/// The frozen matrices of a model's blocks in fewer bits: filled while the model is loaded, one matrix at a time, and
/// unpacked one at a time into memory of the engine's, just before the product that reads it.
public interface PackedMatrices extends AutoCloseable {
    /// Packs a matrix. Called once for every [Projection] of every layer, while loading.
    ///
    /// @param name `model.layers.3.self_attn.q_proj.weight`
    /// @param weight (out, in), fp32 or bf16, on the device of the model; the caller's, not to be kept
    void put(String name, Tensor weight);

    /// Whether a matrix was packed.
    boolean has(String name);

    /// (out, in) of a packed matrix.
    long[] shape(String name);

    /// Unpacks a matrix.
    ///
    /// @param target (out, in), fp32 or bf16, written; consecutive in a row, but its rows may be further apart than
    ///     they are long: it is a view into a larger matrix. On CUDA the work is queued on the current stream.
    void into(String name, Tensor target);

    /// Bytes that all packed matrices take.
    long bytes();

    /// Gives the memory back.
    @Override
    void close();
}
