package org.sftnative.data;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;

/// A file of text rows as bytes: unpacked if gzip's magic bytes say so, without a byte-order mark.
final class RowBytes {
    private static final int BUFFER = 1 << 16;
    private static final byte[] MARK = "\uFEFF".getBytes(StandardCharsets.UTF_8);

    private RowBytes() {}

    static InputStream open(Path file) throws IOException {
        InputStream stream = new BufferedInputStream(Files.newInputStream(file), BUFFER);
        try {
            if (startsWith(stream, new byte[] {0x1F, (byte) 0x8B})) {
                stream = new BufferedInputStream(new GZIPInputStream(stream, BUFFER), BUFFER);
            }
            if (startsWith(stream, MARK)) {
                stream.skipNBytes(MARK.length);
            }
            return stream;
        } catch (IOException | RuntimeException e) {
            stream.close();
            throw e;
        }
    }

    /// Whether these are the next bytes; they stay unread.
    static boolean startsWith(InputStream stream, byte[] bytes) throws IOException {
        stream.mark(bytes.length);
        boolean same = Arrays.equals(bytes, stream.readNBytes(bytes.length));
        stream.reset();
        return same;
    }
}
