package org.sftnative.generate;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntPredicate;

/// Turns tokens into text as they come, up to a text that ends it. Held back are a character whose bytes are
/// spread over several tokens until it is whole, and what may be the beginning of such an end until it is known
/// not to be.
public final class TextStream implements IntPredicate {
    private static final char INCOMPLETE = '\uFFFD';
    /// Tokens that are decoded again with each new one, so that a long text costs no more a token than a short one.
    private static final int WINDOW = 128;

    private static final int OVERLAP = 32;

    private final Function<int[], String> decode;
    private final List<String> ends;
    private final Consumer<String> text;
    private final StringBuilder all = new StringBuilder();
    private int[] ids = {}; // of the window
    private int windowAt; // where its text begins in `all`
    private int printed;
    private boolean ended;

    /// @param decode tokens -> their text
    /// @param ends any of these ends the text, and is itself not heard
    /// @param text hears each new piece
    public TextStream(Function<int[], String> decode, List<String> ends, Consumer<String> text) {
        this.decode = decode;
        this.ends = List.copyOf(ends);
        this.text = text;
    }

    /// Takes a token.
    ///
    /// @return whether the text goes on
    @Override
    public boolean test(int token) {
        ids = Arrays.copyOf(ids, ids.length + 1);
        ids[ids.length - 1] = token;
        all.setLength(windowAt);
        all.append(decode.apply(ids));
        int at = ends.stream()
                .mapToInt(end -> all.indexOf(end, printed))
                .filter(i -> i >= 0)
                .min()
                .orElse(-1);
        ended = at >= 0;
        print(ended ? at : certain());
        if (!ended && ids.length > WINDOW) {
            narrow();
        }
        return !ended;
    }

    /// Lets the window begin later, if the text of its rest is what the whole window says.
    private void narrow() {
        int[] rest = Arrays.copyOfRange(ids, ids.length - OVERLAP, ids.length);
        String tail = decode.apply(rest);
        int from = all.length() - tail.length();
        if (from >= windowAt && all.substring(from).equals(tail) && printed >= from) {
            ids = rest;
            windowAt = from;
        }
    }

    /// How much of the text no later token can change or end.
    private int certain() {
        int whole = all.length();
        while (whole > 0 && all.charAt(whole - 1) == INCOMPLETE) {
            whole--;
        }
        int begun = 0;
        for (String end : ends) {
            int n = Math.min(whole, end.length());
            while (n > begun && !matches(end, n, whole - n)) {
                n--;
            }
            begun = Math.max(begun, n);
        }
        return whole - begun;
    }

    private boolean matches(String end, int length, int at) {
        for (int i = 0; i < length; i++) {
            if (all.charAt(at + i) != end.charAt(i)) {
                return false;
            }
        }
        return true;
    }

    /// No more tokens: prints what was held back.
    public void end() {
        if (!ended) {
            print(all.length());
        }
    }

    /// What was heard so far.
    public String heard() {
        return all.substring(0, printed);
    }

    private void print(int end) {
        if (end > printed) {
            String piece = all.substring(printed, end);
            printed = end;
            text.accept(piece);
        }
    }
}
