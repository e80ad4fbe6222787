package org.sftnative.model;

import java.util.Optional;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// A model that adapters are trained over: nothing of it changes, and it has no gradients.
///
/// @param dense weights as they are computed with; all of them, unless the blocks' matrices are packed
/// @param packed the blocks' matrices in fewer bits
/// @param whole gives a weight that is not packed, by its name
public record FrozenBase(Parameters dense, Optional<PackedMatrices> packed, Function<String, Tensor> whole)
        implements AutoCloseable {
    /// Of which this process has every weight.
    public FrozenBase(Parameters dense, Optional<PackedMatrices> packed) {
        this(dense, packed, dense::weight);
    }

    /// A whole model, nothing packed.
    public static FrozenBase of(Parameters dense) {
        return new FrozenBase(dense, Optional.empty());
    }

    /// A weight by its Hugging Face name; a packed one is unpacked into new memory of the scope around the call.
    public Tensor weight(String name) {
        if (packed.isEmpty() || !packed.get().has(name)) {
            return whole.apply(name);
        }
        return Scopes.yield(() -> {
            long[] shape = packed.get().shape(name);
            Tensor target = Tensors.empty(dense.dtype().scalarType(), dense.device(), shape);
            packed.get().into(name, target);
            return target;
        });
    }

    @Override
    public void close() {
        packed.ifPresent(PackedMatrices::close);
        dense.close();
    }
}
