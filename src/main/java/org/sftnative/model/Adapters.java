package org.sftnative.model;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Dtype;

/// Low-rank adapters of a model: fp32 in one flat buffer, each tensor under the name that it has in a PEFT file. They
/// are all that is trained; optimizer, snapshot and checkpoint see [#trained] and nothing of the base.
public final class Adapters implements AutoCloseable {
    private final AdapterConfig config;
    private final List<AdapterSpec> specs;
    private final List<Map<Projection, AdapterSpec>> layers;
    private final List<String> saved;
    private final Parameters trained;

    private Adapters(
            AdapterConfig config,
            List<AdapterSpec> specs,
            List<Map<Projection, AdapterSpec>> layers,
            List<String> saved,
            Parameters trained) {
        this.config = config;
        this.specs = specs;
        this.layers = layers;
        this.saved = saved;
        this.trained = trained;
    }

    /// Adapters of a model, all zero: fill them with fresh values, or from a file.
    ///
    /// @throws org.sftnative.InputException if the config names what the model does not have
    public static Adapters of(AdapterConfig config, LlamaConfig model, Device device) {
        List<AdapterSpec> specs = config.specs(model);
        List<String> saved = config.savedWeights(model);
        List<Map<Projection, AdapterSpec>> layers = Stream.generate(
                        () -> (Map<Projection, AdapterSpec>) new EnumMap<Projection, AdapterSpec>(Projection.class))
                .limit(model.nLayer())
                .toList();
        specs.forEach(spec -> layers.get(spec.layer()).put(spec.projection(), spec));
        Parameters trained = new Parameters(ParameterLayout.of(specs, saved, model), Dtype.F32, device);
        return new Adapters(config, specs, layers, saved, trained);
    }

    /// The same weights under another config with the same adapters: what is asked of them while training.
    public Adapters under(AdapterConfig other) {
        return new Adapters(other, specs, layers, saved, trained);
    }

    public AdapterConfig config() {
        return config;
    }

    /// Every adapter, in layer order.
    public List<AdapterSpec> specs() {
        return specs;
    }

    /// The adapter of a matrix.
    public Optional<AdapterSpec> spec(int layer, Projection projection) {
        return Optional.ofNullable(layers.get(layer).get(projection));
    }

    /// What is trained, fp32, by the names of a PEFT file: all that is to be written or read.
    public Parameters trained() {
        return trained;
    }

    /// Names, as of the model, of the weights that are trained in full.
    public List<String> saved() {
        return saved;
    }

    /// A weight that is trained in full, by its name in the model.
    public Optional<Tensor> saved(String weight) {
        return saved.contains(weight) ? Optional.of(trained.weight(AdapterSpec.PREFIX + weight)) : Optional.empty();
    }

    /// A: (r, in).
    public Tensor a(AdapterSpec spec) {
        return trained.weight(spec.a());
    }

    /// B: (out, r).
    public Tensor b(AdapterSpec spec) {
        return trained.weight(spec.b());
    }

    /// The magnitudes of DoRA: (out).
    public Tensor magnitude(AdapterSpec spec) {
        return trained.weight(spec.magnitude());
    }

    /// First element and one past the last of all Bs in the flat buffer: LoRA+ gives them a learning rate of their own.
    public long[] rangeOfB() {
        return new long[] {
            trained.slot(specs.getFirst().b()).offset(), trained.layout().decayed()
        };
    }

    /// Numbers that are trained.
    public long count() {
        return trained.layout().parameterCount();
    }

    @Override
    public void close() {
        trained.close();
    }
}
