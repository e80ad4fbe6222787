package org.sftnative.generate;

import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntConsumer;

/// Turns tokens into text as they come. A character whose bytes are spread over several tokens is held back until it is
/// whole.
public final class TextStream implements IntConsumer {
    private static final char INCOMPLETE = '\uFFFD';

    private final Function<int[], String> decode;
    private final Consumer<String> text;
    private int[] ids = {};
    private int printed;

    /// @param decode all tokens so far -> their text
    /// @param text hears each new piece
    public TextStream(Function<int[], String> decode, Consumer<String> text) {
        this.decode = decode;
        this.text = text;
    }

    @Override
    public void accept(int token) {
        ids = Arrays.copyOf(ids, ids.length + 1);
        ids[ids.length - 1] = token;
        String all = decode.apply(ids);
        int whole = all.length();
        while (whole > 0 && all.charAt(whole - 1) == INCOMPLETE) {
            whole--;
        }
        print(all, whole);
    }

    /// No more tokens: prints what was held back.
    public void end() {
        String all = decode.apply(ids);
        print(all, all.length());
    }

    private void print(String all, int end) {
        if (end > printed) {
            text.accept(all.substring(printed, end));
            printed = end;
        }
    }
}
