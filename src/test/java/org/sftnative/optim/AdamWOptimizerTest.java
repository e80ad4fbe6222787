package org.sftnative.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.optim.Updates.assertSame;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.ShardingChoice;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.dist.Worlds;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.support.NativeScope;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// The numbers of a step may be read before its update or after.
@ExtendWith(NativeScope.class)
class AdamWOptimizerTest {
    private static final float[] GRADIENT = {3, -4, 0, 12, 0.5f};
    private static final double NORM = Math.sqrt(9 + 16 + 144 + 0.25);

    /// An optimizer over five weights.
    private record Five(Tensor weights, Tensor gradients, AdamWOptimizer optimizer) implements AutoCloseable {
        static Five of(ShardingChoice sharding, World world, float factor) {
            Tensor weights = Tensors.ofFloats(new float[] {1, 2, 3, 4, 5}, Devices.cpu(), 5);
            Tensor gradients =
                    Tensors.ofFloats(GRADIENT.clone(), Devices.cpu(), 5).mul_(scalar(factor));
            boolean shared = sharding.sharesOptimizer() && world.size() > 1;
            long n = shared ? Part.of(5, world.rank(), world.size()).count() : 5;
            return new Five(
                    weights,
                    gradients,
                    new AdamWOptimizer(
                            new AtenOps(),
                            weights,
                            gradients,
                            new AdamWUpdate(0, 0.9, 0.99, 1e-8, 0.1, 0, 3, 0, 7),
                            AdamWState.create(Masters.FP32, Moments.FP32, n, Devices.cpu()),
                            RateGroup.all(5),
                            sharding,
                            world));
        }

        static Five alone() {
            return of(ShardingChoice.NONE, World.ALONE, 1);
        }

        void measure(double loss) {
            optimizer.measure(1, Tensors.ofFloats(new float[] {(float) loss}, Devices.cpu()));
        }

        /// Update first, as the loop does where nothing hangs on the numbers.
        AdamWOptimizer.Measured step(double loss) {
            measure(loss);
            optimizer.update(0.1);
            return optimizer.read();
        }

        Map<String, byte[]> bits() {
            Map<String, byte[]> bits = new TreeMap<>();
            optimizer.state().forEach((name, tensor) -> bits.put(name, Updates.bytes(tensor)));
            bits.put("weights", Updates.bytes(weights));
            return bits;
        }

        @Override
        public void close() {
            optimizer.close();
        }
    }

    private static Scalar scalar(double value) {
        return new Scalar(value);
    }

    @Test
    void anUpdateDoesNotHangOnWhenItsNumbersAreRead() {
        try (Five first = Five.alone();
                Five last = Five.alone()) {
            for (int step = 1; step <= 3; step++) {
                first.measure(2.5);
                AdamWOptimizer.Measured read = first.optimizer.read();
                first.optimizer.update(0.1);
                assertEquals(read, last.step(2.5));
                assertEquals(2.5, read.lossSum());
                assertEquals(step, last.optimizer.steps());
                assertSame(first.bits(), last.bits(), "step " + step);
            }
            assertEquals(NORM, Five.alone().step(0).gradNorm(), 1e-6 * NORM);
        }
    }

    @ParameterizedTest
    @CsvSource({"Infinity, 1", "NaN, 1", "-Infinity, 1", "2, NaN", "2, Infinity"})
    void whatIsNotFiniteUpdatesNothingAndDoesNotCount(double loss, float factor) {
        try (Five five = Five.alone();
                Five untouched = Five.alone()) {
            Tensor good = five.gradients.clone();
            five.gradients.mul_(scalar(factor));
            for (int i = 0; i < 2; i++) {
                assertFalse(five.step(loss).finite());
                assertEquals(0, five.optimizer.steps());
                assertSame(untouched.bits(), five.bits(), "skipped");
            }
            five.gradients.copy_(good);
            assertTrue(five.step(2).finite());
            untouched.step(2); // its first step too
            assertEquals(1, five.optimizer.steps());
            assertSame(untouched.bits(), five.bits(), "the first that counts");
        }
    }

    /// As the loop does where a guard decides by the numbers.
    @Test
    void whatWasUpdatedAfterItsNumbersWereReadCountsWhateverComesNext() {
        try (Five five = Five.alone()) {
            five.measure(2);
            assertTrue(five.optimizer.read().finite());
            five.optimizer.update(0.1);
            for (int i = 0; i < 2; i++) {
                five.measure(Double.NaN);
                assertFalse(five.optimizer.read().finite());
                assertEquals(1, five.optimizer.steps());
            }
        }
    }

    /// Three ranks with a third of the gradient each, one of them with the loss at fault.
    @ParameterizedTest
    @CsvSource({"NONE, 7", "ZERO1, 7", "NONE, Infinity", "ZERO1, NaN"})
    void allRanksUpdateOrNone(ShardingChoice sharding, double fault) throws Exception {
        record Seen(AdamWOptimizer.Measured measured, long steps, boolean moved) {}
        List<Seen> ranks = Worlds.run(3, world -> {
            try (PointerScope _ = new PointerScope();
                    Five five = Five.of(sharding, world, 1 / 3f)) {
                Tensor before = five.weights.clone();
                five.optimizer.reduce();
                AdamWOptimizer.Measured measured = five.step(world.rank() == 1 ? fault : 1);
                return new Seen(measured, five.optimizer.steps(), !torch.equal(before, five.weights));
            }
        });
        boolean finite = Double.isFinite(fault);
        for (Seen seen : ranks) {
            assertEquals(2 + fault, seen.measured.lossSum());
            assertEquals(NORM, seen.measured.gradNorm(), 1e-6 * NORM);
            assertEquals(new Seen(seen.measured, finite ? 1 : 0, finite), seen);
        }
    }

    /// Three ranks that each update a part clip by the norm of the whole, and stay where they are if any part of the
    /// gradient is not finite.
    @ParameterizedTest
    @ValueSource(floats = {1, Float.NaN, Float.POSITIVE_INFINITY})
    void everyRankGoesByTheWholeGradient(float first) throws Exception {
        int n = 3 * 256 + 40;
        float[] gradient = new float[n];
        for (int i = 0; i < n; i++) {
            gradient[i] = i < 256 ? 3 : 0.25f * (i % 7);
        }
        gradient[0] *= first;
        float[] expected = stepped(gradient, n, ShardingChoice.NONE, World.ALONE);
        assertEquals(Float.isFinite(first), expected[1] != 1, "the step that is compared with");
        for (float[] weights : Worlds.run(3, world -> {
            float[] third = gradient.clone();
            for (int i = 0; i < n; i++) {
                third[i] /= 3;
            }
            return stepped(third, n, ShardingChoice.ZERO1, world);
        })) {
            assertArrayEquals(expected, weights, 1e-6f);
        }
    }

    /// Weights of one after an update in which the moments are not zero, so that its length hangs on the factor.
    private static float[] stepped(float[] gradient, int n, ShardingChoice sharding, World world) {
        try (PointerScope _ = new PointerScope()) {
            Tensor weights = Tensors.zeros(ScalarType.Float, Devices.cpu(), n).add_(scalar(1));
            Tensor gradients = Tensors.ofFloats(gradient, Devices.cpu(), n);
            Part part = sharding.sharesOptimizer() ? Part.of(n, world.rank(), world.size()) : new Part(0, n);
            AdamWState state = AdamWState.create(Masters.FP32, Moments.FP32, part.count(), Devices.cpu());
            state.v().add_(scalar(1));
            try (AdamWOptimizer optimizer = new AdamWOptimizer(
                    new AtenOps(),
                    weights,
                    gradients,
                    new AdamWUpdate(0, 0.9, 0.99, 1e-8, 0, 0, 0, 0, 7),
                    state,
                    RateGroup.all(n),
                    sharding,
                    world)) {
                optimizer.reduce();
                optimizer.step(0.1, 1);
                return Tensors.floats(weights);
            }
        }
    }
}
