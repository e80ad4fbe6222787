package org.sftnative.model;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.InputException;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The weights of a model in one flat buffer, and, once training wants them, their gradients in another of the same
/// layout.
/// Each weight is a view with its Hugging Face name: an autograd leaf whose `.grad` is the view into the
/// gradient buffer, so that backward passes add up in place.
/// Of several ranks, each may keep a part of the gradients only, or of both; there are no views of single
/// weights then.
public final class Parameters implements AutoCloseable {
    private final ParameterLayout layout;
    private final Dtype dtype;
    private final Device device;
    private final Part part; // of the layout, that is kept
    private final boolean shared;
    private final Tensor weights;
    private final Map<String, Tensor> leaves = new LinkedHashMap<>();
    private Tensor gradients;
    private Optional<Shard> shard = Optional.empty();

    /// Allocates the weights, all zero.
    ///
    /// @param layout where each weight lies
    /// @param dtype of the weights, and of their gradients
    /// @param device where they live
    public Parameters(ParameterLayout layout, Dtype dtype, Device device) {
        this(layout, dtype, device, new Part(0, layout.numel()), false);
        layout.slots()
                .values()
                .forEach(slot -> leaves.put(
                        slot.name(), Scopes.keep(() -> view(weights, slot).detach())));
    }

    private Parameters(ParameterLayout layout, Dtype dtype, Device device, Part part, boolean shared) {
        this.layout = layout;
        this.dtype = dtype;
        this.device = device;
        this.part = part;
        this.shared = shared;
        this.weights = Scopes.keep(() -> Tensors.zeros(dtype.scalarType(), device, part.count()));
    }

    /// Allocates a rank's part of the weights alone, all zero.
    ///
    /// @param layout of a model, none of whose matrices are packed
    public static Parameters shared(ParameterLayout layout, Dtype dtype, Device device, World world) {
        return new Parameters(layout, dtype, device, Part.of(layout.numel(), world.rank(), world.size()), true);
    }

    public ParameterLayout layout() {
        return layout;
    }

    public Dtype dtype() {
        return dtype;
    }

    public Device device() {
        return device;
    }

    /// Whether ranks share the weights out.
    public boolean shared() {
        return shared;
    }

    /// The flat buffer of all weights: (layout.numel). It lives as long as this object.
    ///
    /// @throws IllegalStateException where ranks share them out
    public Tensor flatWeights() {
        if (shared) {
            throw new IllegalStateException("a rank has a part of the weights only");
        }
        return weights;
    }

    /// The weights that this rank keeps, flat: all of them, or its part.
    public Tensor keptWeights() {
        return weights;
    }

    /// Takes over what this rank keeps of a weight.
    ///
    /// @param values in the weight's shape, contiguous
    void keep(ParameterLayout.Slot slot, Tensor values) {
        Part mine = kept(slot);
        weights.narrow(0, mine.from() - part.from(), mine.count())
                .copy_(values.view(-1).narrow(0, mine.from() - slot.offset(), mine.count()));
    }

    /// What this rank keeps of a weight.
    Part kept(ParameterLayout.Slot slot) {
        return part.and(new Part(slot.offset(), slot.offset() + slot.numel()));
    }

    /// Copies all weights. Where ranks share them out it is a meeting.
    ///
    /// @param target of the same layout; empty: this rank wants no copy
    public void copyTo(Optional<Parameters> target) {
        if (shared) {
            shard.orElseThrow().copyTo(target.map(Parameters::flatWeights));
        } else {
            target.ifPresent(t -> t.weights.copy_(weights));
        }
    }

    /// Where a pass reads some weights: (n).
    Tensor weights(long from, long n) {
        return shard.flatMap(s -> s.weights(from, n))
                .orElseGet(() -> flatWeights().narrow(0, from, n));
    }

    /// Bytes of weights, and of the buffers that passes read them from.
    public long weightBytes() {
        return weights.nbytes() + shard.map(Shard::weightBytes).orElse(0L);
    }

    /// The flat buffer of all gradients: (layout.numel), zero in the gaps.
    ///
    /// @throws IllegalStateException before [#enableGradients]
    public Tensor flatGradients() {
        if (gradients == null) {
            throw new IllegalStateException("gradients are not enabled");
        }
        return gradients;
    }

    /// Allocates the gradients, all zero, and makes every weight an autograd leaf that adds to them. Does
    /// nothing the second time, or where ranks share them out.
    public void enableGradients() {
        if (gradients != null || shard.isPresent()) {
            return;
        }
        gradients = Scopes.keep(() -> Tensors.zeros(dtype.scalarType(), device, layout.numel()));
        try (PointerScope _ = new PointerScope()) {
            layout.slots().values().forEach(slot -> {
                Tensor leaf = leaves.get(slot.name());
                leaf.set_requires_grad(true);
                leaf.mutable_grad().put(view(gradients, slot));
            });
        }
    }

    /// Allocates this rank's part of the gradients instead, and what passes write them to; where weights are
    /// shared out too, also what passes read these from. For a model that is trained itself.
    public void shareGradients(World world) {
        shard = Optional.of(new Shard(this, world, true));
    }

    /// Allocates what passes read weights from that ranks share out: of a frozen model.
    public void shareWeights(World world) {
        shard = Optional.of(new Shard(this, world, false));
    }

    /// Elements of the buffers that passes write to where ranks share gradients out; and of those that they read
    /// from where ranks share out weights.
    public static long workingElements(ParameterLayout layout) {
        return Pieces.elements(layout);
    }

    /// What ranks exchange in a pass, where they share anything out.
    Optional<Shard> shard() {
        return shard;
    }

    /// The gradients that this rank keeps, flat: all of them, or its part.
    public Tensor keptGradients() {
        return shard.flatMap(Shard::keptGradients).orElseGet(this::flatGradients);
    }

    /// Bytes of gradients, and of the buffers that passes write them to.
    public long gradientBytes() {
        return shard.map(Shard::gradientBytes).orElseGet(() -> flatGradients().nbytes());
    }

    /// Where a pass writes the gradients of some elements: (n).
    Tensor gradients(long from, long n) {
        return shard.flatMap(s -> s.gradients(from, n))
                .orElseGet(() -> flatGradients().narrow(0, from, n));
    }

    /// Sets every gradient to zero.
    public void zeroGradients() {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            flatGradients().zero_();
        }
    }

    /// A weight by its Hugging Face name.
    ///
    /// @throws IllegalArgumentException if the model has no such weight
    public Tensor weight(String name) {
        slot(name);
        flatWeights();
        return leaves.get(name);
    }

    /// Whether the model has such a weight.
    public boolean has(String name) {
        return layout.slots().containsKey(name);
    }

    /// The gradient of a weight: a view into [#flatGradients], of the scope around the call.
    public Tensor gradient(String name) {
        return view(flatGradients(), slot(name));
    }

    /// Where a weight lies.
    public ParameterLayout.Slot slot(String name) {
        ParameterLayout.Slot slot = layout.slots().get(name);
        if (slot == null) {
            throw new IllegalArgumentException("the model has no weight '" + name + "'");
        }
        return slot;
    }

    /// The part of a flat buffer of this layout that belongs to a weight, in its shape.
    public static Tensor view(Tensor flat, ParameterLayout.Slot slot) {
        return flat.narrow(0, slot.offset(), slot.numel()).view(slot.shape());
    }

    /// Refuses a token id that the model has no embedding for.
    ///
    /// @throws InputException naming the id and the vocabulary
    public static void checkVocabulary(long id, int vocabSize) {
        if (id < 0 || id >= vocabSize) {
            throw new InputException("token id " + id + " is beyond the model's vocabulary of " + vocabSize
                    + "\n  tokenizer and model are from different models");
        }
    }

    @Override
    public void close() {
        leaves.values().forEach(Scopes::free);
        leaves.clear();
        Scopes.free(weights);
        shard.ifPresent(Shard::close);
        if (gradients != null) {
            Scopes.free(gradients);
        }
    }
}
