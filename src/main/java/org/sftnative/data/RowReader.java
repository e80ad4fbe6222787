package org.sftnative.data;

import java.io.IOException;
import java.util.Optional;
import org.sftnative.InputException;

/// Reads one file's rows, in order. Closed: every kind of file is known here.
sealed interface RowReader extends AutoCloseable permits JsonArrayRows, JsonLinesRows, CsvRows, ParquetRows {
    /// A row, or why there is none where one should be.
    sealed interface Read {}

    /// A row as it was written.
    record Good(Row row) implements Read {}

    /// A broken row, after which reading can go on.
    record Bad(int number, InputException reason) implements Read {}

    /// The next row; empty at the end.
    ///
    /// @throws InputException if the file is broken so that reading cannot go on
    Optional<Read> read() throws IOException;

    @Override
    void close() throws IOException;
}
