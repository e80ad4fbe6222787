package org.sftnative.generate;

import java.util.Arrays;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntPredicate;

/// Turns tokens into text as they come, up to a text that ends it. Held back are a character whose bytes are
/// spread over several tokens until it is whole, and what may be the beginning of that end until it is known
/// not to be.
public final class TextStream implements IntPredicate {
    private static final char INCOMPLETE = '\uFFFD';

    private final Function<int[], String> decode;
    private final Optional<String> last;
    private final Consumer<String> text;
    private int[] ids = {};
    private int printed;
    private boolean ended;

    /// @param decode all tokens so far -> their text
    /// @param last what ends the text, itself not heard
    /// @param text hears each new piece
    public TextStream(Function<int[], String> decode, Optional<String> last, Consumer<String> text) {
        this.decode = decode;
        this.last = last;
        this.text = text;
    }

    /// Takes a token.
    ///
    /// @return whether the text goes on
    @Override
    public boolean test(int token) {
        ids = Arrays.copyOf(ids, ids.length + 1);
        ids[ids.length - 1] = token;
        String all = decode.apply(ids);
        int at = last.map(end -> all.indexOf(end, printed)).orElse(-1);
        ended = at >= 0;
        print(all, ended ? at : certain(all));
        return !ended;
    }

    /// How much of the text no later token can change or end.
    private int certain(String all) {
        int whole = all.length();
        while (whole > 0 && all.charAt(whole - 1) == INCOMPLETE) {
            whole--;
        }
        int begun = Math.min(whole, last.map(String::length).orElse(0));
        while (begun > 0 && !all.startsWith(last.orElseThrow().substring(0, begun), whole - begun)) {
            begun--;
        }
        return whole - begun;
    }

    /// No more tokens: prints what was held back.
    public void end() {
        if (!ended) {
            String all = decode.apply(ids);
            print(all, all.length());
        }
    }

    private void print(String all, int end) {
        if (end > printed) {
            text.accept(all.substring(printed, end));
            printed = end;
        }
    }
}
