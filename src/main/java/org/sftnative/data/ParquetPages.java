package org.sftnative.data;

import dev.hardwood.InputFile;
import dev.hardwood.internal.metadata.PageHeader;
import dev.hardwood.internal.thrift.OffsetIndexReader;
import dev.hardwood.internal.thrift.PageHeaderReader;
import dev.hardwood.internal.thrift.ThriftCompactReader;
import dev.hardwood.metadata.ColumnChunk;
import dev.hardwood.metadata.ColumnMetaData;
import dev.hardwood.metadata.CompressionCodec;
import dev.hardwood.metadata.FileMetaData;
import dev.hardwood.metadata.PageLocation;
import dev.hardwood.metadata.RowGroup;
import java.io.IOException;
import java.util.HashSet;
import java.util.Set;

/// What the pages of a Parquet file say that they unpack to, looked through before the library believes it: it takes
/// the memory that a page asks for, in threads of its own.
final class ParquetPages {
    /// DuckDB writes pages of up to 100 MB.
    static final int LONGEST = 128 << 20;

    /// Of a page, however few bytes they take: nulls and repeated values take nearly none.
    static final int MOST_VALUES = 16 << 20;

    /// At first; statistics may make a header longer.
    private static final int HEADER = 1 << 10;

    private static final int LONGEST_HEADER = 1 << 23;

    /// What a page costs at the least, so that chunks which share their pages come to an end.
    private static final int PAGE = 1 << 12;

    private final InputFile file;
    private long left;

    private ParquetPages(InputFile file) throws IOException {
        this.file = file;
        left = budget(file.length());
    }

    /// How many bytes a file may unpack to: text is packed to a tenth, columns that repeat themselves to far less.
    static long budget(long size) {
        return (1L << 30) + 1000 * size;
    }

    /// @throws IOException says what of the file is too large
    static void check(InputFile file, FileMetaData metadata) throws IOException {
        ParquetPages pages = new ParquetPages(file);
        for (RowGroup group : metadata.rowGroups()) {
            for (ColumnChunk column : group.columns()) {
                pages.check(column);
            }
        }
    }

    private void check(ColumnChunk column) throws IOException {
        ColumnMetaData data = column.metaData();
        boolean snappy = data.codec() == CompressionCodec.SNAPPY;
        Set<Long> seen = new HashSet<>();
        for (long start : new long[] {column.chunkStartOffset(), data.dataPageOffset()}) {
            long end = Math.min(file.length(), start + data.totalCompressedSize());
            for (long at = start; at < end && seen.add(at); ) {
                at += check(at, end, snappy);
            }
        }
        if (column.offsetIndexOffset() != null) {
            // the library goes by these places, which need not be those of the chain above
            var index = file.readRange(column.offsetIndexOffset(), column.offsetIndexLength());
            for (PageLocation page :
                    OffsetIndexReader.read(new ThriftCompactReader(index)).pageLocations()) {
                if (seen.add(page.offset())) {
                    check(page.offset(), file.length(), snappy);
                }
            }
        }
    }

    /// @return bytes of the page and its header
    private long check(long at, long end, boolean snappy) throws IOException {
        for (long bytes = HEADER; ; bytes *= 8) {
            int length = (int) Math.min(bytes, end - at);
            ThriftCompactReader reader = new ThriftCompactReader(file.readRange(at, length));
            PageHeader page;
            try {
                page = PageHeaderReader.read(reader);
            } catch (IOException | RuntimeException e) {
                if (length == end - at || bytes >= LONGEST_HEADER) {
                    throw e;
                }
                continue;
            }
            long values = 0;
            if (page.dataPageHeader() != null) {
                values = page.dataPageHeader().numValues();
            } else if (page.dataPageHeaderV2() != null) {
                values = page.dataPageHeaderV2().numValues();
            } else if (page.dictionaryPageHeader() != null) {
                values = page.dictionaryPageHeader().numValues();
            }
            left -= PAGE + page.uncompressedPageSize();
            if (page.compressedPageSize() < 0
                    || page.uncompressedPageSize() < 0
                    || page.uncompressedPageSize() > LONGEST
                    || values > MOST_VALUES
                    || left < 0) {
                throw new IOException("a page of " + page.uncompressedPageSize() + " bytes and " + values
                        + " values is more than there is reason for in a file of " + file.length() + " bytes");
            }
            if (snappy) {
                checkSnappy(page, at + reader.getBytesRead());
            }
            return (long) reader.getBytesRead() + page.compressedPageSize();
        }
    }

    /// snappy-java writes as many bytes as the packed data say, wherever the buffer ends: memory beyond it is
    /// overwritten, and the process dies.
    ///
    /// @param at of the page's data
    private void checkSnappy(PageHeader page, long at) throws IOException {
        long levels = 0;
        if (page.dataPageHeaderV2() != null) {
            if (!page.dataPageHeaderV2().isCompressed()) {
                return;
            }
            levels = (long) page.dataPageHeaderV2().repetitionLevelsByteLength()
                    + page.dataPageHeaderV2().definitionLevelsByteLength();
        }
        int length = (int) Math.min(Math.min(10, page.compressedPageSize() - levels), file.length() - at - levels);
        if (length > 0 && levels >= 0) {
            long unpacked = new ThriftCompactReader(file.readRange(at + levels, length)).readVarint();
            if (unpacked != page.uncompressedPageSize() - levels) {
                throw new IOException(
                        "a page of " + page.uncompressedPageSize() + " bytes unpacks to " + (unpacked + levels));
            }
        }
    }
}
