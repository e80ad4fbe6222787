package org.sftnative.tensor;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import java.util.Optional;

/// Makes the C library keep what is freed for what is asked for next. By itself glibc gives large blocks back to the
/// system at once, so that every operation's result is mapped anew and every page of it faults: two thirds of the
/// faults of a step of the reference engine, and up to a tenth of its time (4 rows, 4 times; at 16 rows it does not
/// show).
///
/// Blocks of more than about 64 MiB are mapped anew as before: a thread's heap of glibc is no larger. Other C
/// libraries, older glibcs, and whoever set glibc's own variables (`MALLOC_..._`, `GLIBC_TUNABLES`), are left
/// alone.
final class HostMemory {
    /// Parameters of `mallopt(3)`.
    enum Limit {
        MMAP_THRESHOLD(-3, 1 << 30), // first: an older glibc refuses so much, and is left as it is
        TRIM_THRESHOLD(-1, Integer.MAX_VALUE),
        TOP_PAD(-2, 1 << 26);

        private final int parameter;
        private final int bytes;

        Limit(int parameter, int bytes) {
            this.parameter = parameter;
            this.bytes = bytes;
        }
    }

    private HostMemory() {}

    /// @param environment of this process
    /// @return whether freed memory is kept from now on
    static boolean keepFreed(Map<String, String> environment) {
        boolean chosen = environment.keySet().stream()
                .anyMatch(name -> name.equals("GLIBC_TUNABLES") || name.startsWith("MALLOC_"));
        Optional<MemorySegment> mallopt = Linker.nativeLinker().defaultLookup().find("mallopt");
        if (chosen || mallopt.isEmpty()) {
            return false;
        }
        MethodHandle call = Linker.nativeLinker()
                .downcallHandle(mallopt.get(), FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
        for (Limit limit : Limit.values()) {
            try {
                if ((int) call.invokeExact(limit.parameter, limit.bytes) == 0) {
                    return false;
                }
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }
        return true;
    }
}
