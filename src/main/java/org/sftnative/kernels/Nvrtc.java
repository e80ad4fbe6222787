package org.sftnative.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;

/// NVIDIA's run-time compiler: CUDA C++ to the machine code of one architecture, without nvcc or headers. Needs no
/// card.
final class Nvrtc {
    private final MethodHandle create;
    private final MethodHandle compile;
    private final MethodHandle destroy;
    private final MethodHandle logSize;
    private final MethodHandle log;
    private final MethodHandle cubinSize;
    private final MethodHandle cubin;
    private final MethodHandle errorString;
    private final String version;

    private Nvrtc(SymbolLookup library) {
        create = handle(library, "nvrtcCreateProgram", ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
        compile = handle(library, "nvrtcCompileProgram", ADDRESS, JAVA_INT, ADDRESS);
        destroy = handle(library, "nvrtcDestroyProgram", ADDRESS);
        logSize = handle(library, "nvrtcGetProgramLogSize", ADDRESS, ADDRESS);
        log = handle(library, "nvrtcGetProgramLog", ADDRESS, ADDRESS);
        cubinSize = handle(library, "nvrtcGetCUBINSize", ADDRESS, ADDRESS);
        cubin = handle(library, "nvrtcGetCUBIN", ADDRESS, ADDRESS);
        errorString = Linker.nativeLinker()
                .downcallHandle(library.findOrThrow("nvrtcGetErrorString"), FunctionDescriptor.of(ADDRESS, JAVA_INT));
        MethodHandle getVersion = handle(library, "nvrtcVersion", ADDRESS, ADDRESS);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment numbers = arena.allocate(JAVA_INT, 2);
            check("nvrtcVersion", (int) getVersion.invokeExact(numbers, numbers.asSlice(4)));
            version = numbers.getAtIndex(JAVA_INT, 0) + "." + numbers.getAtIndex(JAVA_INT, 1);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /// The compiler of this machine, if it has one.
    static Optional<Nvrtc> find() {
        return CudaLibraries.nvrtc().map(Nvrtc::new);
    }

    /// Major and minor number, `13.0`.
    String version() {
        return version;
    }

    /// Compiles a source.
    ///
    /// @param name what messages call it
    /// @param options NVRTC's, the architecture among them
    /// @return a cubin
    /// @throws CudaException with the compiler's log
    byte[] compile(String name, String source, List<String> options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment program = arena.allocate(ADDRESS);
            MemorySegment none = MemorySegment.NULL;
            check("nvrtcCreateProgram", (int)
                    create.invokeExact(program, arena.allocateFrom(source), arena.allocateFrom(name), 0, none, none));
            MemorySegment handle = program.get(ADDRESS, 0);
            try {
                MemorySegment list = arena.allocate(ADDRESS, options.size());
                for (int i = 0; i < options.size(); i++) {
                    list.setAtIndex(ADDRESS, i, arena.allocateFrom(options.get(i)));
                }
                int code = (int) compile.invokeExact(handle, options.size(), list);
                if (code != 0) {
                    throw new CudaException("compiling " + name + ": " + message(code) + "\n" + log(arena, handle));
                }
                MemorySegment size = arena.allocate(JAVA_LONG);
                check("nvrtcGetCUBINSize", (int) cubinSize.invokeExact(handle, size));
                MemorySegment code1 = arena.allocate(size.get(JAVA_LONG, 0));
                check("nvrtcGetCUBIN", (int) cubin.invokeExact(handle, code1));
                return code1.toArray(JAVA_BYTE);
            } finally {
                check("nvrtcDestroyProgram", (int) destroy.invokeExact(program));
            }
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    private String log(Arena arena, MemorySegment handle) throws Throwable {
        MemorySegment size = arena.allocate(JAVA_LONG);
        check("nvrtcGetProgramLogSize", (int) logSize.invokeExact(handle, size));
        MemorySegment text = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
        check("nvrtcGetProgramLog", (int) log.invokeExact(handle, text));
        return text.getString(0);
    }

    private void check(String call, int code) {
        if (code != 0) {
            throw new CudaException(call + ": " + message(code));
        }
    }

    private String message(int code) {
        try {
            return ((MemorySegment) errorString.invokeExact(code))
                    .reinterpret(Long.MAX_VALUE)
                    .getString(0);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    private static MethodHandle handle(SymbolLookup library, String name, MemoryLayout... arguments) {
        return Linker.nativeLinker()
                .downcallHandle(library.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, arguments));
    }

    private static RuntimeException rethrown(Throwable e) {
        if (e instanceof Error error) {
            throw error;
        }
        return e instanceof RuntimeException unchecked ? unchecked : new IllegalStateException(e);
    }
}
