package org.sftnative.tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.cuda.CUDAStream;
import org.bytedeco.pytorch.global.torch_cuda;

/// A stream. Those of the pool live as long as the process.
record CudaLane(CUDAStream stream) implements Lane {
    @Override
    public void run(Mark after, Runnable work, Mark done) {
        after.event().block(stream);
        try (PointerScope _ = new PointerScope()) {
            CUDAStream before = torch_cuda.getCurrentCUDAStream(stream.device_index());
            torch_cuda.setCurrentCUDAStream(stream);
            try {
                work.run();
            } finally {
                torch_cuda.setCurrentCUDAStream(before);
            }
        }
        done.event().record(stream);
    }

    @Override
    public void await() {
        stream.synchronize();
    }
}
