package org.sftnative.data;

import java.util.Arrays;
import java.util.concurrent.ConcurrentHashMap;

/// Token ids of a text by its pieces, for tokenizers in which no token goes from a letter on to a blank
/// ([TokenizerJson#splitsAtBlanks]): the text is cut before each blank that follows something else, and the ids of
/// pieces are remembered. Llama 2's tokenizer merges over the whole text otherwise, which makes it the slowest
/// there is: 2.6 thousand rows a second on 2 busy cores, where datasets.map made as many.
/// Safe for use by several threads.
final class BlankPieces {
    /// Of a piece, in UTF-16 units; what is longer will hardly come again.
    private static final int LONGEST = 32;

    /// Of pieces: about 20 MB. Later ones are not remembered.
    private static final int MOST = 1 << 17;

    private static final char MARK = '\u2581'; // what blanks become

    private final NativeTokenizer tokenizer;
    private final ConcurrentHashMap<String, int[]> known = new ConcurrentHashMap<>();

    BlankPieces(NativeTokenizer tokenizer) {
        this.tokenizer = tokenizer;
    }

    /// As the tokenizer's own `ids(text, false)`.
    int[] ids(String text) {
        int[] ids = new int[text.length() / 3 + 16];
        int count = 0;
        int start = 0;
        for (int end = next(text, 0); start < text.length(); end = next(text, end)) {
            int[] piece = piece(text.substring(start, end));
            if (count + piece.length > ids.length) {
                ids = Arrays.copyOf(ids, Math.max(count + piece.length, 2 * ids.length));
            }
            System.arraycopy(piece, 0, ids, count, piece.length);
            count += piece.length;
            start = end;
        }
        return Arrays.copyOf(ids, count);
    }

    /// Where the piece that `from` lies in ends.
    private static int next(String text, int from) {
        for (int at = text.indexOf(' ', from + 1); at > 0; at = text.indexOf(' ', at + 1)) {
            char before = text.charAt(at - 1);
            if (before != ' ' && before != MARK) {
                return at;
            }
        }
        return text.length();
    }

    private int[] piece(String piece) {
        if (piece.length() > LONGEST) {
            return tokenizer.ids(piece, false);
        }
        int[] ids = known.get(piece);
        if (ids == null) {
            ids = tokenizer.ids(piece, false);
            if (known.mappingCount() < MOST) {
                known.put(piece, ids);
            }
        }
        return ids;
    }
}
