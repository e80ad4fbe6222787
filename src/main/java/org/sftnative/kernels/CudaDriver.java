package org.sftnative.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/// The calls of the CUDA driver API that this room makes. Every return code is checked. Handles and device addresses
/// are `long` (in the System V calling convention an integer and a pointer travel alike), so that a call allocates
/// nothing. No `critical` linking: these calls block and take locks.
///
/// The class initialises only where libcuda is: ask [CudaLibraries#driver] first.
final class CudaDriver {
    static final int MULTIPROCESSOR_COUNT = 16;
    static final int COMPUTE_MAJOR = 75;
    static final int COMPUTE_MINOR = 76;
    private static final int CAPTURE_RELAXED = 2;

    private static final SymbolLookup LIBRARY = CudaLibraries.driver()
            .orElseThrow(() -> new IllegalStateException("libcuda.so.1 was not found: ask KernelSupport first"));
    private static final MethodHandle INIT = handle("cuInit", JAVA_INT);
    private static final MethodHandle DEVICE_COUNT = handle("cuDeviceGetCount", ADDRESS);
    private static final MethodHandle DEVICE_GET = handle("cuDeviceGet", ADDRESS, JAVA_INT);
    private static final MethodHandle ATTRIBUTE = handle("cuDeviceGetAttribute", ADDRESS, JAVA_INT, JAVA_INT);
    private static final MethodHandle RETAIN = handle("cuDevicePrimaryCtxRetain", ADDRESS, JAVA_INT);
    private static final MethodHandle SET_CURRENT = handle("cuCtxSetCurrent", JAVA_LONG);
    private static final MethodHandle LOAD = handle("cuModuleLoadData", ADDRESS, ADDRESS);
    private static final MethodHandle FUNCTION = handle("cuModuleGetFunction", ADDRESS, JAVA_LONG, ADDRESS);
    private static final MethodHandle LAUNCH = handle(
            "cuLaunchKernel",
            JAVA_LONG,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG);
    private static final MethodHandle FILL = handle("cuMemsetD8Async", JAVA_LONG, JAVA_BYTE, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle ALLOCATE = handle("cuMemAlloc_v2", ADDRESS, JAVA_LONG);
    private static final MethodHandle FREE = handle("cuMemFree_v2", JAVA_LONG);
    private static final MethodHandle TO_DEVICE = handle("cuMemcpyHtoD_v2", JAVA_LONG, ADDRESS, JAVA_LONG);
    private static final MethodHandle TO_HOST = handle("cuMemcpyDtoH_v2", ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle SYNCHRONIZE = handle("cuStreamSynchronize", JAVA_LONG);
    private static final MethodHandle BEGIN_CAPTURE = handle("cuStreamBeginCapture_v2", JAVA_LONG, JAVA_INT);
    private static final MethodHandle END_CAPTURE = handle("cuStreamEndCapture", JAVA_LONG, ADDRESS);
    private static final MethodHandle INSTANTIATE =
            handle("cuGraphInstantiateWithFlags", ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle GRAPH_LAUNCH = handle("cuGraphLaunch", JAVA_LONG, JAVA_LONG);
    private static final MethodHandle GRAPH_DESTROY = handle("cuGraphDestroy", JAVA_LONG);
    private static final MethodHandle EXEC_DESTROY = handle("cuGraphExecDestroy", JAVA_LONG);
    private static final MethodHandle EVENT_CREATE = handle("cuEventCreate", ADDRESS, JAVA_INT);
    private static final MethodHandle EVENT_RECORD = handle("cuEventRecord", JAVA_LONG, JAVA_LONG);
    private static final MethodHandle EVENT_ELAPSED = handle("cuEventElapsedTime", ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle ERROR_NAME = handle("cuGetErrorName", JAVA_INT, ADDRESS);
    private static final MethodHandle ERROR_STRING = handle("cuGetErrorString", JAVA_INT, ADDRESS);

    private CudaDriver() {}

    private static MethodHandle handle(String name, MemoryLayout... arguments) {
        return Linker.nativeLinker()
                .downcallHandle(LIBRARY.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, arguments));
    }

    /// Cards of this machine.
    /// @throws KernelsMissingException if the driver does not start: no card, or driver and library differ
    static int deviceCount() throws KernelsMissingException {
        try (Arena arena = Arena.ofConfined()) {
            int code = (int) INIT.invokeExact(0);
            if (code != 0) {
                throw new KernelsMissingException("the CUDA driver does not start: " + message(code));
            }
            MemorySegment count = arena.allocate(JAVA_INT);
            check("cuDeviceGetCount", (int) DEVICE_COUNT.invokeExact(count));
            return count.get(JAVA_INT, 0);
        } catch (KernelsMissingException e) {
            throw e;
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// The driver's handle of a card.
    static int device(int ordinal) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment device = arena.allocate(JAVA_INT);
            check("cuDeviceGet", (int) DEVICE_GET.invokeExact(device, ordinal));
            return device.get(JAVA_INT, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static int attribute(int attribute, int device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            check("cuDeviceGetAttribute", (int) ATTRIBUTE.invokeExact(value, attribute, device));
            return value.get(JAVA_INT, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// The context that the runtime API, and so libtorch, uses on a card. Kept until the process ends.
    static long primaryContext(int device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment context = arena.allocate(JAVA_LONG);
            check("cuDevicePrimaryCtxRetain", (int) RETAIN.invokeExact(context, device));
            return context.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static void setCurrent(long context) {
        try {
            check("cuCtxSetCurrent", (int) SET_CURRENT.invokeExact(context));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static long loadModule(byte[] cubin) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment module = arena.allocate(JAVA_LONG);
            MemorySegment image = arena.allocate(cubin.length, 8);
            MemorySegment.copy(cubin, 0, image, JAVA_BYTE, 0, cubin.length);
            check("cuModuleLoadData", (int) LOAD.invokeExact(module, image));
            return module.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static long function(long module, String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment function = arena.allocate(JAVA_LONG);
            check("cuModuleGetFunction of " + name, (int)
                    FUNCTION.invokeExact(function, module, arena.allocateFrom(name)));
            return function.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Queues a kernel. The argument values are read before this returns.
    /// @return CUDA's code, which the caller checks
    static int launch(long function, int gridX, int gridY, int blockX, int blockY, long stream, long argumentPointers) {
        try {
            return (int)
                    LAUNCH.invokeExact(function, gridX, gridY, 1, blockX, blockY, 1, 0, stream, argumentPointers, 0L);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Queues a fill with one byte.
    static void fill(long address, byte value, long bytes, long stream) {
        try {
            check("cuMemsetD8Async", (int) FILL.invokeExact(address, value, bytes, stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static long allocate(long bytes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(JAVA_LONG);
            check("cuMemAlloc of " + bytes + " bytes", (int) ALLOCATE.invokeExact(address, bytes));
            return address.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static void free(long address) {
        try {
            check("cuMemFree", (int) FREE.invokeExact(address));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Copies from native memory and waits.
    static void toDevice(long address, MemorySegment from) {
        try {
            check("cuMemcpyHtoD", (int) TO_DEVICE.invokeExact(address, from, from.byteSize()));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Copies to native memory and waits.
    static void toHost(MemorySegment to, long address) {
        try {
            check("cuMemcpyDtoH", (int) TO_HOST.invokeExact(to, address, to.byteSize()));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Waits for a stream; faults of its kernels surface here.
    static void synchronize(long stream) {
        try {
            check("cuStreamSynchronize", (int) SYNCHRONIZE.invokeExact(stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Begins to record what is queued on a stream instead of running it. Whatever else is called
    /// meanwhile, allocations too, is allowed.
    static void beginCapture(long stream) {
        try {
            check("cuStreamBeginCapture", (int) BEGIN_CAPTURE.invokeExact(stream, CAPTURE_RELAXED));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Ends the recording.
    ///
    /// @return the graph that was recorded
    static long endCapture(long stream) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment graph = arena.allocate(JAVA_LONG);
            check("cuStreamEndCapture", (int) END_CAPTURE.invokeExact(stream, graph));
            return graph.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Makes a graph ready to be launched, and gives it up.
    static long instantiate(long graph) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment executable = arena.allocate(JAVA_LONG);
            check("cuGraphInstantiate", (int) INSTANTIATE.invokeExact(executable, graph, 0L));
            return executable.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        } finally {
            destroyUnused(graph);
        }
    }

    /// Frees a graph that was recorded.
    static void destroyUnused(long graph) {
        try {
            check("cuGraphDestroy", (int) GRAPH_DESTROY.invokeExact(graph));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static void launchGraph(long executable, long stream) {
        try {
            check("cuGraphLaunch", (int) GRAPH_LAUNCH.invokeExact(executable, stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Frees a graph, once what was launched of it is done.
    static void destroyGraph(long executable) {
        try {
            check("cuGraphExecDestroy", (int) EXEC_DESTROY.invokeExact(executable));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static long newEvent() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment event = arena.allocate(JAVA_LONG);
            check("cuEventCreate", (int) EVENT_CREATE.invokeExact(event, 0));
            return event.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static void record(long event, long stream) {
        try {
            check("cuEventRecord", (int) EVENT_RECORD.invokeExact(event, stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// Milliseconds between two events that have passed.
    static float elapsedMs(long from, long to) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ms = arena.allocate(JAVA_FLOAT);
            check("cuEventElapsedTime", (int) EVENT_ELAPSED.invokeExact(ms, from, to));
            return ms.get(JAVA_FLOAT, 0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    static void check(String call, int code) {
        if (code != 0) {
            throw new CudaException(call + ": " + message(code));
        }
    }

    /// `CUDA_ERROR_OUT_OF_MEMORY (2): out of memory`.
    private static String message(int code) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(ADDRESS);
            String name = (int) ERROR_NAME.invokeExact(code, text) == 0 ? string(text) : "unknown error";
            String meaning = (int) ERROR_STRING.invokeExact(code, text) == 0 ? ": " + string(text) : "";
            return name + " (" + code + ")" + meaning;
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    private static String string(MemorySegment pointer) {
        return pointer.get(ADDRESS, 0).reinterpret(Long.MAX_VALUE).getString(0);
    }

    private static RuntimeException rethrown(Throwable e) {
        if (e instanceof Error error) {
            throw error;
        }
        return e instanceof RuntimeException unchecked ? unchecked : new IllegalStateException(e);
    }
}
