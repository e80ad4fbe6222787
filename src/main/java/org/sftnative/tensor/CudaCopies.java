package org.sftnative.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.cuda.CUDAEvent;
import org.bytedeco.pytorch.cuda.CUDAStream;
import org.bytedeco.pytorch.cuda.CUDAStreamGuard;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.sftnative.InputException;

/// A card's copies, on a stream of their own that libtorch's current one meets by events only.
final class CudaCopies implements Copies {
    private final byte card;
    private final CUDAStream stream;
    private final List<Tensor> tensors = new ArrayList<>();
    private final List<Pointer> memory = new ArrayList<>();
    private final List<CUDAEvent> events = new ArrayList<>();

    CudaCopies(Device device) {
        card = device.index();
        stream = Scopes.keep(() -> torch_cuda.getStreamFromPool(false, card));
    }

    /// From the driver itself: libtorch's allocator of pinned memory rounds up to a power of two, and
    /// keeps what is freed.
    @Override
    public Tensor hostMemory(ScalarType type, long... shape) {
        try (PointerScope _ = new PointerScope();
                CUDAStreamGuard _ = new CUDAStreamGuard(stream.unwrap())) { // of this card, not another
            long bytes = Arrays.stream(shape).reduce(torch.elementSize(type), Math::multiplyExact);
            PointerPointer<Pointer> address = new PointerPointer<>(1);
            int code = cudart.cudaHostAlloc(address, bytes, cudart.cudaHostAllocDefault);
            if (code != 0) {
                cudart.cudaGetLastError(); // or libtorch's next call takes it for its own
                throw new InputException("no " + bytes + " bytes of pinned host memory for --recompute offload: "
                        + cudart.cudaGetErrorString(code).getString()
                        + "\n  use --recompute full, or a smaller --micro-batch-tokens");
            }
            Pointer pinned = address.get(); // no scope's: it knows only where
            memory.add(pinned);
            Tensor tensor = torch.from_blob(pinned, shape, Tensors.options(type, Devices.cpu()));
            tensor.retainReference();
            tensors.add(tensor);
            return tensor;
        }
    }

    @Override
    public Lane lane() {
        return new CudaLane(event(), event());
    }

    private CUDAEvent event() {
        CUDAEvent event = Scopes.keep(CUDAEvent::new);
        events.add(event);
        return event;
    }

    private final class CudaLane implements Lane {
        private final CUDAEvent computed; // what a copy waits for
        private final CUDAEvent copied; // the last one

        CudaLane(CUDAEvent computed, CUDAEvent copied) {
            this.computed = computed;
            this.copied = copied;
        }

        @Override
        public void copy(Tensor to, Tensor from) {
            try (PointerScope _ = new PointerScope()) {
                computed.record(torch_cuda.getCurrentCUDAStream(card));
                computed.block(stream);
                try (CUDAStreamGuard _ = new CUDAStreamGuard(stream.unwrap())) {
                    to.copy_(from, true);
                }
                copied.record(stream);
            }
        }

        @Override
        public void await() {
            Scopes.run(() -> copied.block(torch_cuda.getCurrentCUDAStream(card)));
        }
    }

    @Override
    public void close() {
        stream.synchronize();
        tensors.forEach(Scopes::free);
        memory.forEach(cudart::cudaFreeHost);
        events.forEach(Scopes::free);
        Scopes.free(stream);
    }
}
