package org.sftnative.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantLock;

/// One kernel and the memory that its arguments are passed in, made once: a launch allocates nothing. Arguments are
/// given in the order of the kernel's parameters, between [#begin] and [#launch], which hold a lock.
final class KernelFunction {
    private static final int MAX_ARGUMENTS = 32;

    private final String name;
    private final long function;
    private final int parameters;
    private final MemorySegment values;
    private final long pointers;
    private final ReentrantLock lock = new ReentrantLock();
    private int given;

    KernelFunction(String name, long function, int parameters) {
        if (parameters > MAX_ARGUMENTS) {
            throw new IllegalArgumentException(name + " has " + parameters + " parameters");
        }
        this.name = name;
        this.function = function;
        this.parameters = parameters;
        values = Arena.global().allocate(JAVA_LONG, parameters);
        MemorySegment table = Arena.global().allocate(JAVA_LONG, parameters);
        for (int i = 0; i < parameters; i++) {
            table.setAtIndex(JAVA_LONG, i, values.address() + 8L * i);
        }
        pointers = table.address();
    }

    KernelFunction begin() {
        lock.lock();
        given = 0;
        return this;
    }

    /// An address, or a 64-bit number.
    KernelFunction arg(long value) {
        values.setAtIndex(JAVA_LONG, given++, value);
        return this;
    }

    KernelFunction arg(int value) {
        values.set(JAVA_INT, 8L * given++, value);
        return this;
    }

    KernelFunction arg(float value) {
        values.set(JAVA_FLOAT, 8L * given++, value);
        return this;
    }

    KernelFunction arg(boolean value) {
        return arg(value ? 1 : 0);
    }

    /// Queues the kernel; an empty grid queues nothing.
    void launch(int gridX, int gridY, int blockX, int blockY, long stream) {
        try {
            if (given != parameters) {
                throw new IllegalStateException(name + " takes " + parameters + " arguments, not " + given);
            }
            if (gridX == 0 || gridY == 0) {
                return;
            }
            int code = CudaDriver.launch(function, gridX, gridY, blockX, blockY, stream, pointers);
            if (code != 0) {
                CudaDriver.check(
                        "launching " + name + " on (" + gridX + ", " + gridY + ") blocks of (" + blockX + ", " + blockY
                                + ")",
                        code);
            }
        } finally {
            lock.unlock();
        }
    }

    void launch(int gridX, int blockX, long stream) {
        launch(gridX, 1, blockX, 1, stream);
    }
}
