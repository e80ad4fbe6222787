package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Adapters as a product computes with them: in the activations' dtype, made of the fp32 masters once a step. In fp32
/// they are the masters themselves.
final class AdapterWeights implements AutoCloseable {
    private final Adapters adapters;
    private final Tensor masters;
    private final Tensor gradients;
    private final Tensor computed;
    private final boolean narrow;
    private final List<Tensor> views = new ArrayList<>();

    AdapterWeights(Adapters adapters, ScalarType type) {
        this.adapters = adapters;
        Parameters trained = adapters.trained();
        trained.enableGradients();
        masters = detached(trained.flatWeights());
        gradients = detached(trained.flatGradients());
        narrow = type.value != ScalarType.Float.value;
        computed = narrow
                ? keep(Scopes.keep(() ->
                        Tensors.zeros(type, trained.device(), trained.layout().numel())))
                : masters;
    }

    /// Takes over what the masters are now.
    void refresh() {
        if (narrow) {
            Scopes.run(() -> computed.copy_(masters));
        }
    }

    /// Bytes beside the masters.
    long bytes() {
        return narrow ? computed.nbytes() : 0;
    }

    void zeroGradients() {
        Scopes.run(gradients::zero_);
    }

    /// A weight that is trained in full, by its name in the model.
    Optional<Tensor> saved(String weight) {
        return has(weight) ? Optional.of(view(computed, AdapterSpec.PREFIX + weight)) : Optional.empty();
    }

    /// Its gradient.
    Optional<Tensor> savedGradient(String weight) {
        return has(weight) ? Optional.of(view(gradients, AdapterSpec.PREFIX + weight)) : Optional.empty();
    }

    private boolean has(String weight) {
        return adapters.saved().contains(weight);
    }

    /// What a product of some matrices of a layer becomes; absent if none has an adapter.
    Optional<AdaptedProduct> product(
            int layer, List<Projection> projections, FrozenMatrix frozen, LlamaConfig c, Ops ops) {
        List<AdaptedProduct.Part> parts = new ArrayList<>();
        long row = 0;
        long at = 0;
        for (Projection projection : projections) {
            Optional<AdapterSpec> spec = adapters.spec(layer, projection);
            if (spec.isPresent()) {
                parts.add(part(spec.get(), row, at));
                at += spec.get().rank();
            }
            row += projection.out(c);
        }
        if (parts.isEmpty()) {
            return Optional.empty();
        }
        ParameterLayout.Slot first =
                adapters.trained().slot(parts.getFirst().spec().a());
        long in = parts.getFirst().spec().in();
        long ranks = at;
        return Optional.of(new AdaptedProduct(
                frozen,
                parts,
                keep(Scopes.keep(
                        () -> computed.narrow(0, first.offset(), ranks * in).view(ranks, in))),
                keep(Scopes.keep(
                        () -> gradients.narrow(0, first.offset(), ranks * in).view(ranks, in))),
                ops));
    }

    private AdaptedProduct.Part part(AdapterSpec spec, long row, long at) {
        Optional<AdaptedProduct.Magnitude> magnitude = spec.dora()
                ? Optional.of(new AdaptedProduct.Magnitude(
                        view(masters, spec.magnitude()),
                        view(gradients, spec.magnitude()),
                        vector(spec.out()),
                        vector(spec.out())))
                : Optional.empty();
        return new AdaptedProduct.Part(
                spec,
                row,
                at,
                view(computed, spec.a()),
                view(computed, spec.b()),
                view(gradients, spec.a()),
                view(gradients, spec.b()),
                magnitude);
    }

    private Tensor vector(long n) {
        return keep(Scopes.keep(
                () -> Tensors.zeros(ScalarType.Float, adapters.trained().device(), n)));
    }

    private Tensor view(Tensor flat, String name) {
        return keep(Scopes.keep(() -> Parameters.view(flat, adapters.trained().slot(name))));
    }

    private Tensor detached(Tensor flat) {
        return keep(Scopes.keep(flat::detach));
    }

    private Tensor keep(Tensor kept) {
        views.add(kept);
        return kept;
    }

    @Override
    public void close() {
        views.forEach(Scopes::free);
        views.clear();
    }
}
