package org.sftnative.tensor;

import org.bytedeco.pytorch.global.torch;

/// How many CPU threads an operation of this Java thread has inside a try block.
public final class CpuThreads implements AutoCloseable {
    private final int after;

    /// @param after how many it has when this is closed. What it had before may be what another thread set for itself:
    ///     libtorch gives a thread that is new to it the number that was set last
    public CpuThreads(int threads, int after) {
        this.after = after;
        set(threads);
    }

    private static void set(int threads) {
        if (torch.get_num_threads() != threads) {
            torch.set_num_threads(threads);
        }
    }

    @Override
    public void close() {
        set(after);
    }
}
