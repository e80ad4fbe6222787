package org.sftnative.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// Seven steps of an optimizer, the fourth of them skipped, and all bits that they end with.
///
/// @param offload makes what brings a state on the host to the weights; absent: it lies beside them
record Updates(
        Ops ops,
        Device device,
        int n,
        int decayed,
        Masters masters,
        Moments moments,
        List<RateGroup> groups,
        ShardingChoice sharding,
        Optional<BiFunction<Ops, AdamWState, Offload>> offload) {
    private static final int STEPS = 7;
    private static final int SKIPPED = 4;

    Updates(Ops ops, Device device, int n, int decayed) {
        this(
                ops,
                device,
                n,
                decayed,
                Masters.FP32,
                Moments.FP32,
                RateGroup.all(n),
                ShardingChoice.NONE,
                Optional.empty());
    }

    Updates of(Masters masters, Moments moments) {
        return new Updates(ops, device, n, decayed, masters, moments, groups, sharding, offload);
    }

    Updates elements(int n) {
        int some = Math.min(decayed, n);
        return new Updates(ops, device, n, some, masters, moments, RateGroup.all(n), sharding, offload);
    }

    Updates at(List<RateGroup> groups) {
        return new Updates(ops, device, n, decayed, masters, moments, groups, sharding, offload);
    }

    Updates sharing(ShardingChoice sharding) {
        return new Updates(ops, device, n, decayed, masters, moments, groups, sharding, offload);
    }

    Updates in(long piece, Offload.Lanes lanes) {
        return new Updates(
                ops,
                device,
                n,
                decayed,
                masters,
                moments,
                groups,
                sharding,
                Optional.of((o, state) -> new Offload(o, state, device, piece, lanes)));
    }

    /// Of an optimizer that has done nothing yet.
    <T> T with(World world, Function<AdamWOptimizer, T> work) {
        try (PointerScope _ = new PointerScope();
                AdamWOptimizer optimizer = optimizer(world, weights(), gradients(world))) {
            return work.apply(optimizer);
        }
    }

    Map<String, byte[]> train() {
        return train(World.ALONE);
    }

    Map<String, byte[]> train(World world) {
        return trainAfter(this, world);
    }

    /// The first steps as another does them, the others from what a checkpoint would keep of it.
    Map<String, byte[]> trainAfter(Updates first) {
        return trainAfter(first, World.ALONE);
    }

    private Map<String, byte[]> trainAfter(Updates first, World world) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor weights = weights();
            Tensor gradients = gradients(world);
            try (AdamWOptimizer before = first.optimizer(world, weights, gradients);
                    AdamWOptimizer after = optimizer(world, weights, gradients)) {
                before.rehearse();
                steps(before, gradients, 1, SKIPPED);
                before.state().forEach((name, tensor) -> after.state().get(name).copy_(tensor));
                after.restored(before.steps());
                steps(after, gradients, SKIPPED + 1, STEPS);
                Map<String, byte[]> bits = new TreeMap<>();
                after.state().forEach((name, tensor) -> bits.put(name, bytes(tensor)));
                bits.put("weights", bytes(weights));
                return bits;
            }
        }
    }

    private void steps(AdamWOptimizer optimizer, Tensor gradients, int from, int to) {
        for (int step = from; step <= to; step++) {
            long place = optimizer.part().from();
            fill(gradients, gradients.numel() == n ? 0 : place, 100 + step, step == SKIPPED ? Float.NaN : 1);
            optimizer.reduce();
            optimizer.step(1e-2, 0.5);
        }
    }

    private AdamWOptimizer optimizer(World world, Tensor weights, Tensor gradients) {
        boolean shared = sharding.sharesOptimizer() && world.size() > 1;
        long count = shared ? Part.of(n, world.rank(), world.size()).count() : n;
        AdamWState state = offload.isPresent()
                ? Offload.state(masters, moments, count, device)
                : AdamWState.create(masters, moments, count, device);
        return new AdamWOptimizer(
                ops,
                weights,
                gradients,
                new AdamWUpdate(0, 0.9, 0.99, 1e-8, 0.1, 0, decayed, 0, 7),
                state,
                offload.map(make -> make.apply(ops, state)),
                groups,
                sharding,
                world);
    }

    private Tensor weights() {
        Tensor weights = Tensors.zeros(type(), device, n);
        fill(weights, 0, 1, 1);
        return weights;
    }

    /// Flat, or a rank's part.
    private Tensor gradients(World world) {
        boolean part = sharding.sharesGradients() && world.size() > 1;
        return Tensors.zeros(
                type(), device, part ? Part.of(n, world.rank(), world.size()).count() : n);
    }

    private ScalarType type() {
        return masters == Masters.FP32 ? ScalarType.Float : ScalarType.BFloat16;
    }

    /// Magnitudes over some decades, by an element's place in the whole.
    private static void fill(Tensor tensor, long place, int seed, float factor) {
        float[] values = new float[(int) tensor.numel()];
        for (int i = 0; i < values.length; i++) {
            SplittableRandom random = new SplittableRandom(seed * 1_000_003L + place + i);
            values[i] = factor * (float) (random.nextGaussian() * Math.pow(10, -3 * random.nextDouble()));
        }
        if (values.length > 0) {
            tensor.copy_(Tensors.ofFloats(values, Devices.cpu(), values.length));
        }
    }

    static byte[] bytes(Tensor tensor) {
        return Tensors.memory(Tensors.to(tensor, Devices.cpu())).toArray(ValueLayout.JAVA_BYTE);
    }

    static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> actual, String what) {
        assertEquals(expected.keySet(), actual.keySet(), what);
        expected.forEach((name, bytes) ->
                assertEquals(-1, Arrays.mismatch(bytes, actual.get(name)), () -> what + ": first byte of " + name));
    }
}
