package org.sftnative.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.InputException;
import org.sftnative.dist.Part;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.io.StoredDtype;
import org.sftnative.io.TensorSource;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// The optimizer's tensors of a checkpoint, as safetensors.
final class OptimizerFile {
    private static final int SCALED = 256;

    private OptimizerFile() {}

    /// What is to be written of an optimizer's state.
    static List<TensorSource> sources(Map<String, Tensor> optimizer) {
        List<TensorSource> sources = new ArrayList<>();
        optimizer.forEach((name, tensor) -> {
            List<Long> shape = Arrays.stream(tensor.shape()).boxed().toList();
            sources.add(new TensorSource(name, storedType(tensor), shape, sink -> {
                try (PointerScope _ = new PointerScope()) {
                    sink.write(Tensors.memory(Tensors.to(tensor, Devices.cpu())));
                }
            }));
        });
        return sources;
    }

    /// Reads what a checkpoint has of some elements into an optimizer's live tensors, by however many
    /// ranks it was written.
    ///
    /// @param part elements that the live tensors are of
    /// @param n elements of all ranks
    /// @throws InputException if one is missing, or of another shape or type
    static void restore(Path checkpoint, Map<String, Tensor> optimizer, Part part, long n) {
        int size = OptimizerParts.count(checkpoint);
        for (int rank = 0; rank < size; rank++) {
            Part there = Part.of(n, rank, size);
            long from = Math.max(part.from(), there.from());
            long to = Math.min(part.to(), there.to());
            if (from < to) {
                restore(OptimizerParts.file(checkpoint, rank, size), optimizer, part, there, new Part(from, to));
            }
        }
    }

    private static void restore(Path path, Map<String, Tensor> optimizer, Part here, Part there, Part common) {
        try (SafetensorsFile file = SafetensorsFile.open(path);
                PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            optimizer.forEach((name, tensor) -> {
                // one value an element, or a scale for every 256
                long per = name.endsWith("_scale") ? SCALED : 1;
                check(file, name, tensor, Math.ceilDiv(there.count(), per));
                long n = Math.ceilDiv(common.count(), per);
                long bytes = tensor.element_size();
                Tensor host = Tensors.empty(tensor.scalar_type(), Devices.cpu(), n);
                Tensors.memory(host)
                        .copyFrom(file.bytes(name).asSlice((common.from() - there.from()) / per * bytes, n * bytes));
                tensor.narrow(0, (common.from() - here.from()) / per, n).copy_(host);
            });
        }
    }

    private static void check(SafetensorsFile file, String name, Tensor tensor, long n) {
        boolean there = file.tensors().containsKey(name);
        if (!there
                || file.info(name).byteSize() != n * tensor.element_size()
                || file.info(name).dtype() != storedType(tensor)) {
            throw new InputException(file.path() + ": '" + name + "' is missing or not " + n + " elements of "
                    + storedType(tensor) + "\n  resume with the precision of the run that wrote it");
        }
    }

    private static StoredDtype storedType(Tensor tensor) {
        for (StoredDtype type : List.of(StoredDtype.BF16, StoredDtype.I16, StoredDtype.U8)) {
            if (Tensors.is(tensor, scalarType(type))) {
                return type;
            }
        }
        return StoredDtype.F32;
    }

    private static ScalarType scalarType(StoredDtype type) {
        return switch (type) {
            case BF16 -> ScalarType.BFloat16;
            case I16 -> ScalarType.Short;
            case U8 -> ScalarType.Byte;
            default -> ScalarType.Float;
        };
    }
}
