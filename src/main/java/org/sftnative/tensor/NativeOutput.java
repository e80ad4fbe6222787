package org.sftnative.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.function.Supplier;

/// What native libraries print to standard output, which is this program's.
public final class NativeOutput {
    private static final int STANDARD_OUTPUT = 1;
    private static final int WRITE_ONLY = 1;

    private NativeOutput() {}

    /// Runs work during which whatever is printed to standard output is lost, Java's too: for once, at
    /// the start.
    public static <T> T muted(Supplier<T> work) {
        try (Arena arena = Arena.ofConfined()) {
            MethodHandle dup = handle("dup", ValueLayout.JAVA_INT);
            MethodHandle dup2 = handle("dup2", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
            MethodHandle close = handle("close", ValueLayout.JAVA_INT);
            MethodHandle open = Linker.nativeLinker()
                    .downcallHandle(
                            Linker.nativeLinker().defaultLookup().findOrThrow("open"),
                            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT),
                            Linker.Option.firstVariadicArg(2));
            int kept = (int) dup.invokeExact(STANDARD_OUTPUT);
            MemorySegment nowhere = arena.allocateFrom("/dev/null");
            int sink = (int) open.invokeExact(nowhere, WRITE_ONLY);
            int _ = (int) dup2.invokeExact(sink, STANDARD_OUTPUT);
            int _ = (int) close.invokeExact(sink);
            try {
                return work.get();
            } finally {
                int _ = (int) dup2.invokeExact(kept, STANDARD_OUTPUT);
                int _ = (int) close.invokeExact(kept);
            }
        } catch (RuntimeException e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("standard output cannot be set aside", e);
        }
    }

    private static MethodHandle handle(String name, ValueLayout... arguments) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(
                linker.defaultLookup().findOrThrow(name), FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments));
    }
}
