package org.sftnative.fuzz;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;

/// A reader that strangers' bytes reach. It must give a value or an [org.sftnative.InputException].
///
/// @param name also of its folder below `src/test/resources/fuzz`
/// @param perMille its share of the inputs of a long run, in thousandths: cheap readers have more
/// @param seeds inputs to begin with, sound or nearly so
/// @param repair makes lengths and checksums of a changed input right again, so that it gets past them
/// @param reader the reader
record FuzzTarget(String name, int perMille, List<byte[]> seeds, UnaryOperator<byte[]> repair, Reader reader) {
    /// Reads bytes as files are read.
    @FunctionalInterface
    public interface Reader {
        /// @param folder its own, empty at first; what is in it stays from call to call
        void read(byte[] input, Path folder) throws Exception;
    }

    /// Java memory that an input may take beside what is in proportion to it: buffers, and going over it a few times;
    /// of Parquet, pages and rows of 1 GiB each before they are too many.
    long memory() {
        return unpacks() ? 4L << 30 : 64L << 20;
    }

    /// Inputs of a short run: those that unpack to anything take seconds, and are the same ones on every machine.
    long most() {
        return unpacks() ? 100 : Long.MAX_VALUE;
    }

    private boolean unpacks() {
        return name.equals("rows-parquet");
    }

    static FuzzTarget of(String name, int perMille, Reader reader, String... seeds) {
        return new FuzzTarget(
                name,
                perMille,
                List.of(seeds).stream()
                        .map(seed -> seed.getBytes(StandardCharsets.UTF_8))
                        .toList(),
                UnaryOperator.identity(),
                reader);
    }
}
