package org.sftnative.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// What copies wait for and what waits for them, on two lanes that do nothing until they are awaited, and then all
/// that marks let them: a lane goes on as far as it can before the other is asked.
class LaneCopiesTest {
    private final PointerScope scope = new PointerScope();
    private final Map<Mark, Integer> set = new HashMap<>(); // times that lanes were told to set it
    private final Map<Mark, Integer> reached = new HashMap<>();
    private final Slow work = new Slow();
    private final Slow beside = new Slow();
    private final LaneCopies copies = new LaneCopies(Devices.cpu(), work, beside);
    private final Mark none = Mark.on(Devices.cpu());

    @AfterEach
    void end() {
        scope.close();
    }

    /// @param times that a mark was set when it was waited for, as events of CUDA count
    private record Queued(Mark after, int times, Runnable work, Mark done) {}

    private final class Slow implements Lane {
        private final List<Queued> queue = new ArrayList<>();

        @Override
        public void run(Mark after, Runnable work, Mark done) {
            queue.add(new Queued(after, set.getOrDefault(after, 0), work, done));
            set.merge(done, 1, Integer::sum);
        }

        /// Does what needs not wait for the other lane.
        private void goOn() {
            while (!queue.isEmpty() && reached.getOrDefault(queue.getFirst().after, 0) >= queue.getFirst().times) {
                Queued next = queue.removeFirst();
                next.work.run();
                reached.merge(next.done, 1, Integer::sum);
            }
        }

        @Override
        public void await() {
            for (int left = -1; !queue.isEmpty() && left != work.queue.size() + beside.queue.size(); ) {
                left = work.queue.size() + beside.queue.size();
                goOn();
                (this == work ? beside : work).goOn();
            }
            assertTrue(queue.isEmpty(), "it waits for what nobody does");
        }
    }

    private void compute(Runnable what) {
        work.run(none, what, Mark.on(Devices.cpu()));
    }

    private static Tensor of(float value) {
        return Tensors.ofFloats(new float[] {value}, Devices.cpu(), 1);
    }

    private static float value(Tensor tensor) {
        return Tensors.floats(tensor)[0];
    }

    @Test
    void aCopyWaitsForWhatWasAskedForBefore() {
        Copies.Channel channel = copies.channel();
        Tensor from = of(1);
        Tensor to = of(0);
        compute(() -> from.fill_(new Scalar(2)));
        channel.copy(to, from);
        beside.goOn();
        assertEquals(0, value(to), "nothing is computed yet");
        work.goOn();
        beside.goOn();
        assertEquals(2, value(to));
    }

    @Test
    void whatIsComputedWaitsForItsChannelsCopies() {
        Copies.Channel channel = copies.channel();
        Tensor from = of(1);
        Tensor to = of(0);
        List<Float> seen = new ArrayList<>();
        channel.copy(to, from);
        compute(() -> seen.add(value(to)));
        channel.await();
        compute(() -> seen.add(value(to)));
        work.goOn();
        assertEquals(List.of(0f), seen, "what was asked for before waits for nothing");
        beside.goOn();
        work.goOn();
        assertEquals(List.of(0f, 1f), seen);
    }

    /// The second copy through a buffer is waited for too, when the first one's mark has been reached.
    @Test
    void everyCopyOfAChannelIsWaitedFor() {
        Copies.Channel channel = copies.channel();
        Tensor to = of(0);
        List<Float> seen = new ArrayList<>();
        for (float i = 1; i < 4; i++) {
            channel.copy(to, of(i));
            work.goOn(); // and beside stands still
            channel.await();
            compute(() -> seen.add(value(to)));
            work.goOn();
            beside.goOn();
            work.goOn();
        }
        assertEquals(List.of(1f, 2f, 3f), seen);
    }

    /// Copies run in one order: that of another channel which comes later is not waited for, an earlier one's is over.
    @Test
    void anotherChannelsCopiesAreNotWaitedFor() {
        Copies.Channel one = copies.channel();
        Copies.Channel other = copies.channel();
        Tensor to = of(0);
        List<Float> seen = new ArrayList<>();
        one.copy(to, of(1));
        work.goOn();
        beside.goOn();
        other.copy(of(0), of(5));
        one.await();
        compute(() -> seen.add(value(to)));
        work.goOn();
        assertEquals(List.of(1f), seen, "only the other channel's copy is not done");
        assertEquals(1, beside.queue.size());
        other.await();
        compute(() -> seen.add(0f));
        work.goOn();
        assertEquals(1, seen.size(), "its own channel waits");
    }

    @Test
    void closingWaitsForAllCopies() {
        Tensor to = of(0);
        Tensor host = copies.hostMemory(ScalarType.Float, 1);
        copies.channel().copy(to, of(1));
        copies.channel().copy(host, of(2));
        copies.close();
        assertEquals(1, value(to));
        assertEquals(List.of(), beside.queue);
        assertTrue(host.isNull(), "its memory is given back");
    }
}
