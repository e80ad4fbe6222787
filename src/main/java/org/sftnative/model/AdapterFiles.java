package org.sftnative.model;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.InputException;
import org.sftnative.io.AdapterDirectory;
import org.sftnative.io.TensorSource;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// Adapters between a PEFT directory and the flat buffer.
public final class AdapterFiles {
    private AdapterFiles() {}

    /// What a directory says of its adapter, without reading weights, but checking their names and shapes.
    ///
    /// @throws InputException if it is no adapter, not one for this model, or one that is not supported
    public static AdapterConfig config(Path path, LlamaConfig model) {
        try (AdapterDirectory directory = AdapterDirectory.open(path)) {
            return config(directory, model);
        }
    }

    private static AdapterConfig config(AdapterDirectory directory, LlamaConfig model) {
        String file = directory.path().resolve(AdapterDirectory.CONFIG).toString();
        AdapterConfig config = PeftConfig.read(file, directory.config(), model);
        try {
            Map<String, long[]> shapes = new LinkedHashMap<>();
            ParameterLayout.of(config.specs(model), config.savedWeights(model), model)
                    .slots()
                    .values()
                    .forEach(slot -> shapes.put(slot.name(), slot.shape()));
            directory.check(shapes);
        } catch (InputException e) {
            String at = e.getMessage().startsWith(directory.path().toString()) ? "" : file + ": ";
            throw new InputException(at + e.getMessage(), e);
        }
        return config;
    }

    /// Reads an adapter.
    ///
    /// @throws InputException as [#config] does, and if weights are not finite
    public static Adapters load(Path path, LlamaConfig model, Device device) {
        try (AdapterDirectory directory = AdapterDirectory.open(path)) {
            Adapters adapters = Adapters.of(config(directory, model), model, device);
            try {
                adapters.trained()
                        .layout()
                        .slots()
                        .keySet()
                        .forEach(
                                name -> read(directory, name, adapters.trained().weight(name)));
            } catch (RuntimeException e) {
                adapters.close();
                throw e;
            }
            return adapters;
        }
    }

    private static void read(AdapterDirectory directory, String name, Tensor weight) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor host = Tensors.empty(ScalarType.Float, Devices.cpu(), weight.shape());
            directory.read(name, Dtype.F32, Tensors.memory(host));
            if (!Double.isFinite(
                    host.sum(new ScalarTypeOptional(ScalarType.Double)).item_double())) {
                throw new InputException(directory.path() + ": '" + name + "' has weights that are not finite"
                        + "\n  the file is damaged, or of a run that diverged");
            }
            weight.copy_(host);
        }
    }

    /// Saves adapters as PEFT does.
    ///
    /// @param tensors fp32
    /// @param base path or name of the model that they are for
    public static void save(Path directory, AdapterConfig config, List<TensorSource> tensors, String base) {
        AdapterDirectory.save(directory, PeftConfig.write(config, base), tensors);
    }
}
