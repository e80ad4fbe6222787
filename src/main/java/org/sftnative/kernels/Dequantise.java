package org.sftnative.kernels;

/// Quantised matrices to bf16, bit for bit as libtorch's fp32 arithmetic rounds them.
public final class Dequantise {
    private static final int THREADS = 256;
    private final KernelFunction nf4;
    private final KernelFunction nf4Any;
    private final KernelFunction nf4Double;
    private final KernelFunction nf4DoubleAny;
    private final KernelFunction int8;
    private final KernelFunction int8Any;

    Dequantise(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "dequantise");
        nf4 = module.function("nf4_to_bf16", 7);
        nf4Any = module.function("nf4_to_bf16_any", 7);
        nf4Double = module.function("nf4_to_bf16_double", 10);
        nf4DoubleAny = module.function("nf4_to_bf16_any_double", 10);
        int8 = module.function("int8_to_bf16", 6);
        int8Any = module.function("int8_to_bf16_any", 6);
    }

    /// Where the weights go.
    ///
    /// @param address bf16
    /// @param stride elements between the starts of two rows
    public record Target(long address, long rows, int columns, long stride) {
        /// Whether 8 weights lie in one block of 64, and can be written at once.
        private boolean vectors() {
            return Shape.vectors(columns, address) && stride % Shape.GROUP == 0;
        }

        private int groups(int threads) {
            return Shape.ceilDiv(columns, (long) threads * Shape.GROUP);
        }

        private int gridRows() {
            return (int) Math.min(rows, Shape.MAX_GRID_Y);
        }

        private int threads() {
            return Shape.rowThreads(columns, THREADS);
        }
    }

    /// NormalFloat 4, w = values(code) * absmax(block).
    ///
    /// @param codes (ceil(rows * columns / 2)) bytes, the first code in the high half
    /// @param values (16) fp32
    /// @param absmax (blocks) fp32
    public void nf4(long codes, long values, long absmax, Target to, long stream) {
        launch(
                (to.vectors() && codes % 4 == 0 ? nf4 : nf4Any)
                        .begin()
                        .arg(codes)
                        .arg(values)
                        .arg(absmax),
                to,
                stream);
    }

    /// The same with scales of 8 bits, map(scaleCode) * group(block / 256) + offset.
    ///
    /// @param scaleCodes (blocks) bytes
    /// @param map (256) fp32
    /// @param group (ceil(blocks / 256)) fp32
    /// @param offset (1) fp32
    public void nf4(
            long codes, long values, long scaleCodes, long map, long group, long offset, Target to, long stream) {
        launch(
                (to.vectors() && codes % 4 == 0 ? nf4Double : nf4DoubleAny)
                        .begin()
                        .arg(codes)
                        .arg(values)
                        .arg(scaleCodes)
                        .arg(map)
                        .arg(group)
                        .arg(offset),
                to,
                stream);
    }

    /// w = code * (absmax(row) / 127).
    ///
    /// @param codes (rows, columns) signed bytes
    /// @param absmax (rows) fp32
    public void int8(long codes, long absmax, Target to, long stream) {
        launch(
                (to.vectors() && codes % 8 == 0 ? int8 : int8Any)
                        .begin()
                        .arg(codes)
                        .arg(absmax),
                to,
                stream);
    }

    private static void launch(KernelFunction kernel, Target to, long stream) {
        int threads = to.threads();
        kernel.arg(to.address)
                .arg(to.rows)
                .arg(to.columns)
                .arg(to.stride)
                .launch(to.groups(threads), to.gridRows(), threads, 1, stream);
    }
}
