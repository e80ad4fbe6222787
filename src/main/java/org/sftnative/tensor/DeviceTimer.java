package org.sftnative.tensor;

import java.util.ArrayDeque;
import java.util.Deque;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.cuda.CUDAEvent;

/// How long a device is busy with some of its work, added up. On a card the host does not wait for it: what is done is
/// counted when somebody asks.
public final class DeviceTimer {
    private final boolean cuda;
    private final Deque<Span> running = new ArrayDeque<>(); // in the order of the device's work
    private final Deque<Span> free = new ArrayDeque<>();
    private long nanos;

    private record Span(CUDAEvent began, CUDAEvent ended) {
        static Span make() {
            return new Span(event(), event());
        }

        private static CUDAEvent event() {
            return Scopes.keep(() -> new CUDAEvent(cudart.cudaEventDefault)); // one that takes the time
        }
    }

    public DeviceTimer(Device device) {
        this.cuda = Devices.isCuda(device);
    }

    /// Does work, or queues it behind what the device is doing.
    public void time(Runnable work) {
        if (!cuda) {
            long began = System.nanoTime();
            work.run();
            nanos += System.nanoTime() - began;
            return;
        }
        count();
        Span span = free.isEmpty() ? Span.make() : free.remove();
        span.began.record();
        work.run();
        span.ended.record();
        running.add(span);
    }

    private void count() {
        while (!running.isEmpty() && running.peek().ended.query()) {
            Span done = running.remove();
            nanos += (long) (1e6 * done.began.elapsed_time(done.ended));
            free.add(done);
        }
    }

    /// Nanoseconds of all that is done.
    public long nanos() {
        count();
        return nanos;
    }
}
