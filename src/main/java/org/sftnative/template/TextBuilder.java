package org.sftnative.template;

import java.util.Arrays;

/// Builds a text with its marks; every character is paid for before it is stored.
final class TextBuilder {
    private final Budget budget;
    private final StringBuilder text = new StringBuilder();
    private int[] ends = new int[4];
    private int[] kinds = new int[4];
    private int runs;

    TextBuilder(Budget budget) {
        this.budget = budget;
    }

    TextBuilder append(String piece, int kind) {
        if (!piece.isEmpty()) {
            budget.piece(piece.length());
            text.append(piece);
            mark(kind);
        }
        return this;
    }

    TextBuilder append(Str piece) {
        return append(piece, 0, piece.text().length());
    }

    /// Characters `from` to `to` of a string, with their marks.
    TextBuilder append(Str piece, int from, int to) {
        if (from >= to) {
            return this;
        }
        budget.piece(to - from);
        Marks marks = piece.marks();
        if (marks.isUniform()) {
            text.append(piece.text(), from, to);
            mark(marks.kinds()[0]);
            return this;
        }
        int at = from;
        for (int run = marks.run(from); at < to; run++) {
            int end = Math.min(to, marks.ends()[run]);
            text.append(piece.text(), at, end);
            mark(marks.kinds()[run]);
            at = end;
        }
        return this;
    }

    /// A string as written by generation block `id`: its marks of a row stay.
    TextBuilder appendGenerated(Str piece, int id) {
        Marks marks = piece.marks();
        int[] numbered = marks.kinds().clone();
        for (int i = 0; i < numbered.length; i++) {
            numbered[i] = (numbered[i] & Marks.ROW_BIT) | id << 1;
        }
        return append(new Str(piece.text(), new Marks(marks.ends(), numbered), false));
    }

    private void mark(int kind) {
        if (runs > 0 && kinds[runs - 1] == kind) {
            ends[runs - 1] = text.length();
            return;
        }
        if (runs == ends.length) {
            ends = Arrays.copyOf(ends, 2 * runs);
            kinds = Arrays.copyOf(kinds, 2 * runs);
        }
        ends[runs] = text.length();
        kinds[runs++] = kind;
    }

    int length() {
        return text.length();
    }

    Marks marks() {
        return switch (runs) {
            case 0 -> Marks.TEMPLATE;
            case 1 -> Marks.uniform(kinds[0]);
            default -> new Marks(Arrays.copyOf(ends, runs), Arrays.copyOf(kinds, runs));
        };
    }

    Str build() {
        return new Str(text.toString(), marks(), false);
    }
}
