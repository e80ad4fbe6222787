package org.sftnative.ops;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.LongConsumer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.cuda.CUDAStream;
import org.bytedeco.pytorch.cuda.DeviceAssertionsDataVectorCUDAKernelLaunchInfoVectorPair;
import org.bytedeco.pytorch.cuda.MemPool;
import org.bytedeco.pytorch.cuda.StreamFilter;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.sftnative.kernels.Graph;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Records work as CUDA graphs, on a stream of its own, since the default stream cannot be recorded.
/// What libtorch allocates meanwhile comes from a pool that nothing else is given memory of: a
/// recording writes to it whenever it runs.
final class CudaRecorder implements Ops.Recorder {
    private static final int SIDE = 64;

    /// Never freed, nor left to the collector: the presets would free them as what they take them for, and crash.
    private static final List<Pointer> POOL_IDS = new CopyOnWriteArrayList<>();

    private final LongConsumer kernels;
    private final byte card;
    private final CUDAStream stream;
    private final MemPool pool;
    private final DeviceAssertionsDataVectorCUDAKernelLaunchInfoVectorPair poolId; // two numbers, of a wrong name
    private final StreamFilter everything;

    /// @param kernels is told the stream that kernels are queued on from now on
    CudaRecorder(Device device, LongConsumer kernels) {
        this.kernels = kernels;
        this.card = current().device_index();
        this.stream = Scopes.keep(() -> torch_cuda.getStreamFromPool(false, card));
        this.pool = Scopes.keep(MemPool::new);
        this.poolId = Scopes.keep(pool::id);
        POOL_IDS.add(poolId);
        this.everything = Scopes.keep(Everything::new);
        // what libtorch makes for products on a stream is made now, in memory of its own
        on(
                stream,
                () -> Scopes.run(() -> {
                    Tensor x = Tensors.zeros(ScalarType.BFloat16, device, SIDE, SIDE);
                    torch.mm_out(x, x.clone(), x.clone());
                }));
    }

    private static final class Everything extends StreamFilter {
        @Override
        public boolean call(Pointer stream) {
            return true;
        }
    }

    @Override
    public Ops.Recording recorded(Runnable work) {
        Graph[] graph = new Graph[1];
        Scopes.run(() -> torch_cuda.getAllocator().beginAllocateToPool(card, poolId, everything));
        try {
            on(stream, () -> graph[0] = Graph.of(address(stream), work));
        } finally {
            Scopes.run(() -> {
                torch_cuda.getAllocator().endAllocateToPool(card, poolId);
                torch_cuda.getAllocator().releasePool(card, poolId); // what beginning took; the pool has its own
            });
        }
        return new Ops.Recording() {
            @Override
            public void replay() {
                Scopes.run(() -> graph[0].launch(address(current())));
            }

            @Override
            public void close() {
                graph[0].close();
            }
        };
    }

    /// Runs something, in the scope around the call, while a stream is libtorch's current one and this program's
    /// kernels'.
    private void on(CUDAStream stream, Runnable work) {
        CUDAStream before = Scopes.keep(CudaRecorder::current);
        become(stream);
        try {
            work.run();
        } finally {
            become(before);
            Scopes.free(before);
        }
    }

    private void become(CUDAStream stream) {
        torch_cuda.setCurrentCUDAStream(stream);
        kernels.accept(address(stream));
    }

    private static CUDAStream current() {
        return torch_cuda.getCurrentCUDAStream();
    }

    /// 0: the default stream.
    static long address(CUDAStream stream) {
        var handle = stream.stream();
        return handle == null ? 0 : handle.address();
    }

    @Override
    public void close() {
        Scopes.free(pool);
        Scopes.free(everything);
        Scopes.free(stream);
    }
}
