package org.sftnative.tensor;

import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.cuda.CUDAEvent;

/// A place in what a [Lane] was given, for others to wait for. It can be set again; one that was never
/// set is waited for by nobody.
public final class Mark implements AutoCloseable {
    private final Optional<CUDAEvent> event;

    private Mark(Optional<CUDAEvent> event) {
        this.event = event;
    }

    /// A mark for lanes of a device.
    public static Mark on(Device device) {
        return new Mark(Devices.isCuda(device) ? Optional.of(Scopes.keep(CUDAEvent::new)) : Optional.empty());
    }

    CUDAEvent event() {
        return event.orElseThrow();
    }

    /// Waits, on the host, until what was given before is done.
    void await() {
        event.ifPresent(CUDAEvent::synchronize);
    }

    @Override
    public void close() {
        event.ifPresent(Scopes::free);
    }
}
