package org.sftnative.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.InputException;
import org.sftnative.dist.World;
import org.sftnative.io.ModelDirectory;
import org.sftnative.io.StoredDtype;
import org.sftnative.io.TensorInfo;
import org.sftnative.io.TensorSource;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Weights between a model directory and the flat buffer.
public final class LlamaFiles {
    private LlamaFiles() {}

    /// Loads every weight of a model, converted to a dtype.
    ///
    /// @throws InputException if weights are missing, more than the config says, of another shape, or not finite
    public static Parameters load(ModelDirectory directory, LlamaConfig config, Dtype dtype, Device device) {
        return load(directory, config, ParameterLayout.of(config), dtype, device, Optional.empty());
    }

    /// Loads one rank's part of the weights, and reads no more than the tensors that it has something of.
    ///
    /// @throws InputException as [#load] does
    public static Parameters loadPart(
            ModelDirectory directory, LlamaConfig config, Dtype dtype, Device device, World world) {
        ParameterLayout layout = ParameterLayout.of(config);
        check(directory, config, layout);
        Parameters parameters = Parameters.shared(layout, dtype, device, world);
        try {
            layout.slots().values().stream()
                    .filter(slot -> parameters.kept(slot).count() > 0)
                    .forEach(slot -> Scopes.run(
                            () -> parameters.keep(slot, weight(directory, slot.name(), dtype, Devices.cpu()))));
        } catch (RuntimeException e) {
            parameters.close();
            throw e;
        }
        return parameters;
    }

    /// Loads a model that is not trained itself.
    ///
    /// @param packed where the blocks' matrices go, each as it is read; absent: they stay as they are. Closed if
    ///     loading fails
    /// @throws InputException as [#load] does
    public static FrozenBase loadFrozen(
            ModelDirectory directory, LlamaConfig config, Dtype dtype, Device device, Optional<PackedMatrices> packed) {
        ParameterLayout layout =
                packed.isPresent() ? ParameterLayout.withoutProjections(config) : ParameterLayout.of(config);
        return new FrozenBase(load(directory, config, layout, dtype, device, packed), packed);
    }

    /// Loads one rank's part of a model that is not trained itself; single weights are read from its files again.
    ///
    /// @throws InputException as [#load] does
    public static FrozenBase loadFrozenPart(
            ModelDirectory directory, LlamaConfig config, Dtype dtype, Device device, World world) {
        return new FrozenBase(
                loadPart(directory, config, dtype, device, world),
                Optional.empty(),
                name -> weight(directory, name, dtype, device));
    }

    private static Tensor weight(ModelDirectory directory, String name, Dtype dtype, Device device) {
        return Scopes.yield(() -> {
            long[] shape = directory.info(name).shape().stream()
                    .mapToLong(Long::longValue)
                    .toArray();
            Tensor weight = Tensors.empty(dtype.scalarType(), device, shape);
            read(directory, name, weight, dtype);
            return weight;
        });
    }

    private static Parameters load(
            ModelDirectory directory,
            LlamaConfig config,
            ParameterLayout layout,
            Dtype dtype,
            Device device,
            Optional<PackedMatrices> packed) {
        ParameterLayout whole = ParameterLayout.of(config);
        check(directory, config, whole);
        Parameters parameters = new Parameters(layout, dtype, device);
        try {
            for (ParameterLayout.Slot slot : whole.slots().values()) {
                if (parameters.has(slot.name())) {
                    read(directory, slot.name(), parameters.weight(slot.name()), dtype);
                    continue;
                }
                Scopes.run(() -> {
                    Tensor weight = Tensors.empty(dtype.scalarType(), device, slot.shape());
                    read(directory, slot.name(), weight, dtype);
                    packed.orElseThrow().put(slot.name(), weight);
                });
            }
        } catch (RuntimeException e) {
            parameters.close();
            packed.ifPresent(PackedMatrices::close);
            throw e;
        }
        return parameters;
    }

    private static void read(ModelDirectory directory, String name, Tensor weight, Dtype dtype) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            if (weight.is_cpu()) {
                directory.read(name, dtype, Tensors.memory(weight));
            } else {
                Tensor host = Tensors.empty(dtype.scalarType(), Devices.cpu(), weight.shape());
                directory.read(name, dtype, Tensors.memory(host));
                weight.copy_(host);
            }
            // a sum of finite weights does not overflow, one of others is not finite: one pass, no memory
            if (!Double.isFinite(
                    weight.sum(new ScalarTypeOptional(ScalarType.Float)).item_double())) {
                throw new InputException(directory.path() + ": '" + name + "' has weights that are not finite"
                        + "\n  the file is damaged, or of a run that diverged");
            }
        }
    }

    /// The weights as a file shall hold them, converted to a dtype. They read the live weights when they are written.
    public static List<TensorSource> sources(Parameters parameters, Dtype as) {
        List<TensorSource> sources = new ArrayList<>();
        for (String name : parameters.layout().slots().keySet()) {
            Tensor weight = parameters.weight(name);
            List<Long> shape = Arrays.stream(weight.shape()).boxed().toList();
            sources.add(new TensorSource(name, StoredDtype.of(as), shape, sink -> {
                try (PointerScope _ = new PointerScope()) {
                    Tensor host = Tensors.to(weight.detach(), Devices.cpu()).to(as.scalarType());
                    sink.write(Tensors.memory(host.contiguous()));
                }
            }));
        }
        return sources;
    }

    /// Compares the tensors of a directory with what its config says.
    ///
    /// @throws InputException if weights are missing, more than the config says, or of another shape or type
    public static void check(ModelDirectory directory, LlamaConfig config) {
        check(directory, config, ParameterLayout.of(config));
    }

    private static void check(ModelDirectory directory, LlamaConfig config, ParameterLayout layout) {
        Set<String> missing = new TreeSet<>(layout.slots().keySet());
        missing.removeAll(directory.tensorNames());
        if (!missing.isEmpty()) {
            throw new InputException(directory.path() + ": " + missing.size() + " weights are missing, the first is '"
                    + missing.iterator().next() + "'\n  config and weights are from different models");
        }
        for (String name : directory.tensorNames()) {
            ParameterLayout.Slot slot = layout.slots().get(name);
            if (slot == null) {
                if (harmless(name, config)) {
                    continue;
                }
                throw new InputException(
                        directory.path() + ": '" + name + "' is no weight of the model that config.json"
                                + " describes\n  config and weights are from different models");
            }
            TensorInfo info = directory.info(name);
            List<Long> shape = Arrays.stream(slot.shape()).boxed().toList();
            if (!info.shape().equals(shape)) {
                throw new InputException(directory.path() + ": " + name + " has shape " + info.shape()
                        + ", config.json says " + shape + "\n  config and weights are from different models");
            }
            if (info.dtype().weights().isEmpty()) {
                throw new InputException(
                        directory.path() + ": " + name + " is " + info.dtype() + ", supported: F32, BF16, F16");
            }
        }
    }

    /// Old checkpoints carry the rotary frequencies; tied ones may carry the head a second time.
    private static boolean harmless(String name, LlamaConfig config) {
        return name.endsWith(".rotary_emb.inv_freq") || config.tieWordEmbeddings() && name.equals("lm_head.weight");
    }
}
