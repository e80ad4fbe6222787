package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// Frozen matrices that one product reads as one, stacked along their rows: a view of the weights as they lie in
/// memory, or packed ones, unpacked for each product into a buffer that all share.
sealed interface FrozenMatrix {
    /// (out, in): valid until the next call on any of a model.
    Tensor get();

    /// out.
    long rows();

    /// @param matrix (out, in), a view of the weights
    record Resident(Tensor matrix) implements FrozenMatrix {
        @Override
        public Tensor get() {
            return matrix;
        }

        @Override
        public long rows() {
            return matrix.size(0);
        }
    }

    /// @param names of the matrices, from the top
    /// @param buffer flat, as large as the largest product's matrix
    record Packed(PackedMatrices packed, List<String> names, Tensor buffer) implements FrozenMatrix {
        @Override
        public Tensor get() {
            List<long[]> shapes = new ArrayList<>();
            long rows = 0;
            for (String name : names) {
                shapes.add(packed.shape(name));
                rows += shapes.getLast()[0];
            }
            long in = shapes.getFirst()[1];
            Tensor all = buffer.narrow(0, 0, rows * in).view(rows, in);
            long from = 0;
            for (int i = 0; i < names.size(); i++) {
                packed.into(names.get(i), all.narrow(0, from, shapes.get(i)[0]));
                from += shapes.get(i)[0];
            }
            return all;
        }

        @Override
        public long rows() {
            return names.stream().mapToLong(name -> packed.shape(name)[0]).sum();
        }
    }
}
