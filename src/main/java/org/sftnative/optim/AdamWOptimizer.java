package org.sftnative.optim;

import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Readout;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// AdamW with clipping over a flat buffer of weights. Of these, as of gradients and the optimizer's state, each
/// rank of a run has the whole, or its [Part].
public final class AdamWOptimizer implements AutoCloseable {
    private final Ops ops;
    private final Tensor weights;
    private final Tensor gradients;
    private final long elements;
    private final Part part;
    private final boolean sharded;
    private final boolean gathers; // the whole of the weights
    private final boolean summed; // passes do it
    private final AdamWUpdate update;
    private final AdamWState state;
    private final Optional<Offload> offload;
    private final Updater updater;
    private final List<RateGroup> groups;
    private final World world;
    private final Readout readout;
    private long steps;
    private boolean unread; // the last update's numbers
    private Optional<Tensor> clip = Optional.empty();

    /// [Ops#adamw], or [Offload#adamw].
    private interface Updater {
        void adamw(Tensor weights, Tensor gradients, AdamWState state, AdamWUpdate update, Tensor clip);
    }

    /// @param weights (n) flat; updated in place
    /// @param gradients (n) flat
    /// @param update betas, epsilon, weight decay and what it spares; rate and step are each update's
    ///     own
    /// @param state of n elements; closed with this
    public AdamWOptimizer(Ops ops, Tensor weights, Tensor gradients, AdamWUpdate update, AdamWState state) {
        this(ops, weights, gradients, update, state, RateGroup.all(weights.numel()), ShardingChoice.NONE, World.ALONE);
    }

    /// The same with more than one learning rate, and as one of several ranks.
    public AdamWOptimizer(
            Ops ops,
            Tensor weights,
            Tensor gradients,
            AdamWUpdate update,
            AdamWState state,
            List<RateGroup> groups,
            ShardingChoice sharding,
            World world) {
        this(ops, weights, gradients, update, state, Optional.empty(), groups, sharding, world);
    }

    /// The same with a state that may lie on the host.
    ///
    /// @param weights flat; where ranks share them out, this rank's part
    /// @param gradients flat; where ranks share them out, this rank's part, which is the whole step's
    /// @param state of this rank's part, where they share it out
    /// @param offload of that state; closed with this
    /// @param groups all elements, in order; more than one only with fp32 weights and moments
    /// @param sharding what the ranks share out
    /// @param world the ranks that each have a share of the gradient
    public AdamWOptimizer(
            Ops ops,
            Tensor weights,
            Tensor gradients,
            AdamWUpdate update,
            AdamWState state,
            Optional<Offload> offload,
            List<RateGroup> groups,
            ShardingChoice sharding,
            World world) {
        this.ops = ops;
        this.weights = weights;
        this.gradients = gradients;
        this.update = update;
        this.state = state;
        this.offload = offload;
        this.updater = offload.<Updater>map(o -> o::adamw).orElse(ops::adamw);
        this.groups = List.copyOf(groups);
        this.world = world;
        this.elements = groups.getLast().to();
        this.sharded = sharding.sharesOptimizer() && world.size() > 1;
        this.gathers = sharded && !sharding.sharesWeights();
        this.summed = sharding.sharesGradients();
        this.part = sharded ? Part.of(elements, world.rank(), world.size()) : new Part(0, elements);
        this.readout = new Readout(weights, 2);
    }

    /// Updates done.
    public long steps() {
        return steps;
    }

    /// Makes the gradient that of the whole step, once: the sum of what the ranks have; in this rank's
    /// part at least.
    public void reduce() {
        if (summed) {
            return;
        }
        if (sharded) {
            world.reduceScatter(gradients);
        } else {
            world.sum(gradients);
        }
    }

    /// The gradients of some elements of this rank's part.
    private Tensor gradients(long from, long n) {
        return some(gradients, summed, from, n);
    }

    /// One update of every weight, by the gradient scaled down to a norm: once, after all micro-batches. A
    /// gradient that is not finite updates nothing.
    ///
    /// @param maxNorm 0: no clipping
    /// @return the norm before clipping
    public double step(double learningRate, double maxNorm) {
        try (PointerScope _ = new PointerScope()) {
            measure(maxNorm, Tensors.zeros(ScalarType.Float, weights.device()));
            update(learningRate);
            return read().gradNorm();
        }
    }

    /// What the host learns of a step.
    ///
    /// @param lossSum over the label tokens of all ranks
    /// @param gradNorm before clipping
    public record Measured(double lossSum, double gradNorm) {
        public boolean finite() {
            return Double.isFinite(lossSum) && Double.isFinite(gradNorm);
        }
    }

    /// Takes the norm of the whole step's gradient, and what clipping makes of it in the [#update] that may follow;
    /// adds up the ranks' losses. The device does it when it comes to it: [#read] waits for the numbers.
    ///
    /// @param maxNorm 0: no clipping
    /// @param lossSum fp32 scalar, of this rank; if that of all ranks is not finite, nothing is updated
    public void measure(double maxNorm, Tensor lossSum) {
        forget();
        unread = false; // what was updated so far had numbers of its own
        try (NoGradGuard _ = new NoGradGuard()) {
            clip = Optional.of(Scopes.keep(() -> clip(maxNorm, lossSum)));
        }
    }

    /// What `Ops.clip` gives, of the whole gradient; finite only if the loss is.
    private Tensor clip(double maxNorm, Tensor lossSum) {
        Tensor clip = ops.clip(gradients(part.from(), part.count()), maxNorm);
        Tensor loss = Tensors.to(lossSum, clip.device()).to(ScalarType.Double).view(1);
        if (world.size() > 1) {
            Tensor norm = clip.narrow(0, 0, 1).to(ScalarType.Double);
            Tensor sums = torch.cat(new TensorVector(loss, norm.mul(norm)), 0);
            world.sum(sums);
            loss = sums.narrow(0, 0, 1);
            if (sharded) {
                whole(clip, sums.narrow(0, 1, 1).sqrt(), maxNorm);
            }
        }
        clip.narrow(0, 2, 1).mul_(loss.sub(loss).eq(new Scalar(0))); // Inf - Inf is NaN
        readout.begin(torch.cat(new TensorVector(loss, clip.narrow(0, 0, 1).to(ScalarType.Double)), 0));
        return clip;
    }

    /// Makes of what is so of this rank's part what is so of all.
    private static void whole(Tensor clip, Tensor norm, double maxNorm) {
        Tensor most = torch.full_like(norm, new Scalar(maxNorm > 0 ? maxNorm : Double.POSITIVE_INFINITY));
        clip.narrow(0, 0, 1).copy_(norm);
        clip.narrow(0, 1, 1).copy_(most.div(norm.add(new Scalar(1e-6))).clamp_max(new Scalar(1.0)));
        clip.narrow(0, 2, 1).copy_(torch.isfinite(norm));
    }

    /// One update of every weight, by the gradient that [#measure] measured: nothing is updated, and no update
    /// counted, if gradient or loss are not finite. The host need not know yet.
    ///
    /// @throws IllegalStateException without a measured gradient
    public void update(double learningRate) {
        Tensor measured = clip.orElseThrow(() -> new IllegalStateException("no gradient was measured"));
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            groups.forEach(group -> update(group, learningRate, measured));
        }
        if (gathers) {
            world.allGather(weights);
        }
        steps++;
        unread = true;
        forget();
    }

    /// Waits for what [#measure] asked for, not for an [#update] after it.
    public Measured read() {
        double[] numbers = readout.await();
        Measured measured = new Measured(numbers[0], numbers[1]);
        if (unread && !measured.finite()) {
            steps--; // the update was none
        }
        unread = false;
        return measured;
    }

    /// The elements of a group in this rank's part.
    private void update(RateGroup group, double learningRate, Tensor clip) {
        AdamWUpdate now = update.at(learningRate * group.ratio(), steps + 1);
        long from = Math.max(group.from(), part.from());
        long n = Math.min(group.to(), part.to()) - from;
        if (n <= 0) {
            return;
        }
        updater.adamw(
                some(weights, sharded && !gathers, from, n),
                gradients(from, n),
                groups.size() == 1 ? state : state.part(from - part.from(), n),
                n == elements ? now : now.part(from, n),
                clip);
    }

    /// @param shared whether the buffer is of this rank's part
    private Tensor some(Tensor flat, boolean shared, long from, long n) {
        return n == flat.numel() ? flat : flat.narrow(0, shared ? from - part.from() : from, n);
    }

    /// Takes the memory that an update takes, and changes nothing: what has no room for an update fails now and not
    /// after the first backward pass. For a state that has seen no update, and gradients that are zero.
    public void rehearse() {
        if (steps > 0) {
            throw new IllegalStateException("the moments are no longer zero");
        }
        reduce();
        step(0, 0); // zero gradients, zero moments and a rate of zero leave every bit as it was
        steps = 0;
    }

    private void forget() {
        clip.ifPresent(Scopes::free);
        clip = Optional.empty();
    }

    /// Which elements the state is of.
    public Part part() {
        return part;
    }

    /// Elements of the whole buffer.
    public long elements() {
        return elements;
    }

    /// Everything besides the weights that the next step depends on, by name: what a checkpoint keeps. The
    /// tensors are the live ones: copy into them to restore, then [#restored].
    public SequencedMap<String, Tensor> state() {
        return state.tensors();
    }

    /// Bytes of what pieces of the state are updated in, where it lies on the host.
    public Optional<Long> bufferBytes() {
        return offload.map(Offload::bufferBytes);
    }

    /// Forgets everything, as before the first update.
    public void reset() {
        try (NoGradGuard _ = new NoGradGuard()) {
            state().values().forEach(tensor -> Scopes.run(tensor::zero_));
        }
        steps = 0;
    }

    /// Says how many updates the restored state has seen.
    public void restored(long steps) {
        this.steps = steps;
    }

    @Override
    public void close() {
        forget();
        readout.close();
        offload.ifPresent(Offload::close);
        state.close();
    }
}
