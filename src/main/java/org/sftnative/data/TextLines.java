package org.sftnative.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/// Lines of UTF-8 text, ended by LF alone, so that one that is not UTF-8 spoils no other.
final class TextLines implements AutoCloseable {
    /// Of a line and so of a row, in bytes: tokenising one takes about a second for each of its megabytes, whatever
    /// the length that it is cut to afterwards.
    static final int LONGEST = 32 << 20;

    /// A line that is too long to be a row.
    static final class TooLong extends IOException {
        private static final long serialVersionUID = 1L;
    }

    /// @param text without its LF; a CR before that stays. Where `utf8` is false, with U+FFFD for what is no text
    /// @param number from 1
    record Line(String text, int number, boolean utf8) {}

    private final InputStream bytes;
    private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder(); // a new decoder is strict
    private final byte[] buffer = new byte[1 << 16];
    private int at;
    private int end;
    private byte[] line = new byte[1 << 12];
    private int number;

    TextLines(InputStream bytes) {
        this.bytes = bytes;
    }

    /// The next line; empty at the end.
    ///
    /// @throws TooLong if it has more bytes than a row may have
    Optional<Line> next() throws IOException {
        int length = 0;
        while (true) {
            if (at == end) {
                at = 0;
                end = bytes.read(buffer);
                if (end < 0) {
                    end = 0;
                    return length == 0 ? Optional.empty() : Optional.of(decoded(length));
                }
            }
            int stop = at;
            while (stop < end && buffer[stop] != '\n') {
                stop++;
            }
            int piece = stop - at;
            if (length + piece > LONGEST) {
                throw new TooLong();
            }
            if (length + piece > line.length) {
                line = Arrays.copyOf(line, Math.min(LONGEST, 2 * (length + piece)));
            }
            System.arraycopy(buffer, at, line, length, piece);
            length += piece;
            at = stop;
            if (stop < end) {
                at++;
                return Optional.of(decoded(length));
            }
        }
    }

    private Line decoded(int length) {
        number++;
        try {
            return new Line(decoder.decode(ByteBuffer.wrap(line, 0, length)).toString(), number, true);
        } catch (CharacterCodingException _) {
            return new Line(new String(line, 0, length, StandardCharsets.UTF_8), number, false);
        }
    }

    @Override
    public void close() throws IOException {
        bytes.close();
    }
}
