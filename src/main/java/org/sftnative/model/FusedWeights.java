package org.sftnative.model;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The weights as [LlamaEngine] reads them, views of flat buffers: q, k and v as one product, gate and up as one. The
/// d-prefixed are gradients; what is frozen has none. A view keeps its buffer alive: close it.
final class FusedWeights implements AutoCloseable {
    /// One block.
    ///
    /// @param dNorm1 (C): where norm1 is frozen, a vector that nobody reads
    record Block(
            Tensor norm1,
            Product qkv, // (Q + 2 R, C)
            Product out, // (C, Q)
            Tensor norm2,
            Product gateUp, // (2 F, C)
            Product down, // (C, F)
            Optional<Tensor> qkvBias,
            Optional<Tensor> outBias,
            Optional<Tensor> gateUpBias,
            Optional<Tensor> downBias,
            Tensor dNorm1,
            Tensor dNorm2,
            boolean trainsNorm1) {}

    private static final List<Projection> QKV = List.of(Projection.Q, Projection.K, Projection.V);
    private static final List<Projection> OUT = List.of(Projection.O);
    private static final List<Projection> GATE_UP = List.of(Projection.GATE, Projection.UP);
    private static final List<Projection> DOWN = List.of(Projection.DOWN);

    private final LlamaConfig config;
    private final FrozenBase base;
    private final Parameters parameters;
    private final Ops ops;
    private final Optional<AdapterWeights> adapters;
    private final List<Tensor> views = new ArrayList<>();
    private final List<AdaptedProduct> adapted = new ArrayList<>();
    private final Tensor sink;
    private final Tensor unpacked;
    final Tensor embedding;
    final Optional<Tensor> dEmbedding;
    final Tensor norm;
    final Tensor dNorm;
    final Tensor head;
    final Optional<Tensor> dHead;
    final List<Block> blocks = new ArrayList<>();
    final Optional<Shard> shard;

    /// @param adapters what is trained; absent: the model itself is
    FusedWeights(LlamaConfig config, FrozenBase base, Optional<Adapters> adapters, Ops ops) {
        this.config = config;
        this.base = base;
        this.parameters = base.dense();
        this.ops = ops;
        this.adapters =
                adapters.map(a -> new AdapterWeights(a, parameters.dtype().scalarType()));
        if (adapters.isEmpty()) {
            parameters.enableGradients();
        }
        shard = parameters.shard();
        sink = keep(Scopes.keep(() ->
                Tensors.zeros(ScalarType.Float, parameters.device(), adapters.isPresent() ? config.hiddenSize() : 0)));
        unpacked = keep(Scopes.keep(() -> Tensors.empty(
                parameters.dtype().scalarType(),
                parameters.device(),
                base.packed().isPresent() ? largest() : 0)));
        String embed = "model.embed_tokens.weight";
        String top = config.tieWordEmbeddings() ? embed : "lm_head.weight";
        embedding = weight(embed);
        dEmbedding = gradient(embed);
        norm = weight("model.norm.weight");
        dNorm = gradient("model.norm.weight").orElse(sink);
        head = weight(top);
        dHead = gradient(top);
        for (int i = 0; i < config.nLayer(); i++) {
            blocks.add(block(i, "model.layers." + i + "."));
        }
    }

    private Block block(int i, String layer) {
        return new Block(
                weight(layer + "input_layernorm.weight"),
                product(i, QKV),
                product(i, OUT),
                weight(layer + "post_attention_layernorm.weight"),
                product(i, GATE_UP),
                product(i, DOWN),
                bias(parameters::weights, i, QKV),
                bias(parameters::weights, i, OUT),
                bias(parameters::weights, i, GATE_UP),
                bias(parameters::weights, i, DOWN),
                gradient(layer + "input_layernorm.weight").orElse(sink),
                gradient(layer + "post_attention_layernorm.weight").orElse(sink),
                gradient(layer + "input_layernorm.weight").isPresent());
    }

    private Product product(int layer, List<Projection> projections) {
        if (adapters.isEmpty()) {
            return new Product.Full(
                    matrix(parameters::weights, layer, projections),
                    matrix(parameters::gradients, layer, projections),
                    bias(parameters::gradients, layer, projections),
                    ops);
        }
        FrozenMatrix frozen = base.packed().isPresent()
                ? new FrozenMatrix.Packed(
                        base.packed().get(),
                        projections.stream()
                                .map(p -> p.module(layer) + ".weight")
                                .toList(),
                        unpacked)
                : new FrozenMatrix.Resident(matrix(parameters::weights, layer, projections));
        Optional<AdaptedProduct> product = adapters.get().product(layer, projections, frozen, config, ops);
        product.ifPresent(adapted::add);
        return product.isPresent() ? product.get() : new Product.Frozen(frozen, ops);
    }

    /// Whether the gradient of a layer's input serves nothing.
    boolean nothingTrainedBelow(int layer) {
        if (adapters.isEmpty() || dEmbedding.isPresent()) {
            return false;
        }
        return blocks.subList(0, layer).stream()
                .allMatch(b -> b.dNorm1 == sink
                        && b.dNorm2 == sink
                        && List.of(b.qkv, b.out, b.gateUp, b.down).stream().allMatch(Product.Frozen.class::isInstance));
    }

    /// Makes room for the adapters' middles of so many tokens.
    void reserve(int tokens) {
        adapted.forEach(p -> p.reserve(parameters.dtype().scalarType(), parameters.device(), tokens));
    }

    /// Bytes that the engine takes here, beside the weights.
    long bytes() {
        return adapted.stream().mapToLong(AdaptedProduct::keptBytes).sum()
                + adapters.map(AdapterWeights::bytes).orElse(0L)
                + unpacked.nbytes();
    }

    /// Takes over what the trained weights are now, where a copy of them is computed with.
    void refresh() {
        adapters.ifPresent(AdapterWeights::refresh);
        adapted.forEach(AdaptedProduct::refresh);
    }

    /// A pass begins.
    void begin() {
        shard.ifPresent(Shard::begin);
    }

    /// A stage of the pass is done: the embedding, each block, the head; then backward, each block and the embedding.
    void done() {
        shard.ifPresent(Shard::done);
    }

    /// Zeroes what every micro-batch adds to: norms, biases, and an embedding that is not the head; of adapters, all.
    void zeroWhatIsAddedTo() {
        if (adapters.isPresent()) {
            adapters.get().zeroGradients();
            return;
        }
        if (shard.isPresent()) {
            return; // zeroes its own
        }
        ParameterLayout layout = parameters.layout();
        Scopes.run(() -> {
            parameters
                    .flatGradients()
                    .narrow(0, layout.decayed(), layout.numel() - layout.decayed())
                    .zero_();
            if (!config.tieWordEmbeddings()) {
                dEmbedding.orElseThrow().zero_();
            }
        });
    }

    private Tensor weight(String name) {
        return adapters.flatMap(a -> a.saved(name)).orElseGet(() -> baseWeight(name));
    }

    private Tensor baseWeight(String name) {
        return matrix(parameters::weights, name, name);
    }

    private Optional<Tensor> gradient(String name) {
        return adapters.isPresent()
                ? adapters.get().savedGradient(name)
                : Optional.of(matrix(parameters::gradients, name, name));
    }

    /// Some neighbours in the layout: (n).
    private interface Flat {
        Tensor at(long from, long n);
    }

    private Tensor matrix(Flat flat, int layer, List<Projection> projections) {
        return matrix(
                flat,
                projections.getFirst().module(layer) + ".weight",
                projections.getLast().module(layer) + ".weight");
    }

    private Optional<Tensor> bias(Flat flat, int layer, List<Projection> projections) {
        String first = projections.getFirst().module(layer) + ".bias";
        return parameters.has(first)
                ? Optional.of(matrix(flat, first, projections.getLast().module(layer) + ".bias"))
                : Optional.empty();
    }

    /// Weights that lie side by side, from the first to the last, stacked along their first dimension.
    private Tensor matrix(Flat flat, String first, String last) {
        ParameterLayout.Slot from = parameters.slot(first);
        ParameterLayout.Slot to = parameters.slot(last);
        long elements = to.offset() + to.numel() - from.offset();
        long[] shape = from.shape().clone();
        shape[0] = elements * shape[0] / from.numel();
        return keep(Scopes.keep(() -> flat.at(from.offset(), elements).detach().view(shape)));
    }

    /// Elements of the largest product's matrix.
    private long largest() {
        long c = config.hiddenSize();
        long widest = Collections.max(
                List.of(config.qSize() + 2L * config.kvSize(), (long) config.qSize(), 2L * config.intermediateSize()));
        return c * widest;
    }

    private Tensor keep(Tensor view) {
        views.add(view);
        return view;
    }

    @Override
    public void close() {
        adapted.forEach(AdaptedProduct::free);
        adapters.ifPresent(AdapterWeights::close);
        views.forEach(Scopes::free);
        views.clear();
    }
}
