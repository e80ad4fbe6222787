package org.sftnative.cli;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/// The width of the terminal that standard output is, asked of the system each time: it may change.
final class TerminalSize {
    private static final long TIOCGWINSZ = 0x5413; // Linux
    private static final int STDOUT = 1;

    private static final Optional<MethodHandle> IOCTL = Linker.nativeLinker()
            .defaultLookup()
            .find("ioctl")
            .map(ioctl -> Linker.nativeLinker()
                    .downcallHandle(
                            ioctl,
                            FunctionDescriptor.of(
                                    ValueLayout.JAVA_INT,
                                    ValueLayout.JAVA_INT,
                                    ValueLayout.JAVA_LONG,
                                    ValueLayout.ADDRESS),
                            Linker.Option.firstVariadicArg(2)));

    private TerminalSize() {}

    /// Columns; 0 if it is no terminal, or does not say.
    static int columns() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment winsize = arena.allocate(ValueLayout.JAVA_SHORT, 4); // rows, columns, pixels
            int failed = IOCTL.isEmpty() ? 1 : (int) IOCTL.get().invokeExact(STDOUT, TIOCGWINSZ, winsize);
            return failed != 0 ? 0 : Short.toUnsignedInt(winsize.getAtIndex(ValueLayout.JAVA_SHORT, 1));
        } catch (Throwable e) {
            throw new IllegalStateException("ioctl", e);
        }
    }
}
