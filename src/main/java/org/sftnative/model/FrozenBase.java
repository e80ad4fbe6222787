package org.sftnative.model;

import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// A model that adapters are trained over: nothing of it changes, and it has no gradients.
///
/// @param dense weights as they are computed with; all of them, unless the blocks' matrices are packed
/// @param packed the blocks' matrices in fewer bits
public record FrozenBase(Parameters dense, Optional<PackedMatrices> packed) implements AutoCloseable {
    /// A whole model, nothing packed.
    public static FrozenBase of(Parameters dense) {
        return new FrozenBase(dense, Optional.empty());
    }

    /// A weight by its Hugging Face name; a packed one is unpacked into new memory of the scope around the call.
    public Tensor weight(String name) {
        if (packed.isEmpty() || !packed.get().has(name)) {
            return dense.weight(name);
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
