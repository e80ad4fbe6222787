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
import org.sftnative.io.SafetensorsFile;
import org.sftnative.io.StoredDtype;
import org.sftnative.io.TensorSource;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// The optimizer's tensors of a checkpoint, as safetensors.
final class OptimizerFile {
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

    /// Reads a file into an optimizer's live tensors.
    ///
    /// @throws InputException if one is missing, or of another shape or type
    static void restore(Path path, Map<String, Tensor> optimizer) {
        try (SafetensorsFile file = SafetensorsFile.open(path);
                PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            optimizer.forEach((name, tensor) -> restore(file, name, tensor));
        }
    }

    private static void restore(SafetensorsFile file, String name, Tensor tensor) {
        boolean there = file.tensors().containsKey(name);
        if (!there
                || file.info(name).byteSize() != tensor.nbytes()
                || file.info(name).dtype() != storedType(tensor)) {
            throw new InputException(file.path() + ": '" + name + "' is missing or not " + tensor.numel()
                    + " elements of " + storedType(tensor) + "\n  resume with the precision of the run that wrote it");
        }
        Tensor host = Tensors.empty(tensor.scalar_type(), Devices.cpu(), tensor.numel());
        Tensors.memory(host).copyFrom(file.bytes(name));
        tensor.copy_(host);
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
