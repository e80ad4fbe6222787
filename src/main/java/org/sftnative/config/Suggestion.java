package org.sftnative.config;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/// "Did you mean": the known name that a mistyped one is nearest to.
public final class Suggestion {
    private Suggestion() {}

    /// The nearest of `known`, if few enough letters separate it from `typed`: a third of them, at least two, but
    /// never the whole of a short name.
    public static Optional<String> nearest(String typed, Collection<String> known) {
        return known.stream()
                .filter(name -> {
                    int shorter = Math.min(typed.length(), name.length());
                    return distance(typed, name) <= Math.min(Math.max(2, shorter / 3), shorter / 2);
                })
                .min(Comparator.comparingInt(name -> distance(typed, name)));
    }

    /// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
    static int distance(String a, String b) {
        int[][] d = new int[a.length() + 1][b.length() + 1];
        for (int i = 0; i <= a.length(); i++) {
            for (int j = 0; j <= b.length(); j++) {
                if (i == 0 || j == 0) {
                    d[i][j] = i + j;
                    continue;
                }
                int replace = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
                d[i][j] = Math.min(d[i - 1][j - 1] + replace, 1 + Math.min(d[i - 1][j], d[i][j - 1]));
                if (i > 1 && j > 1 && a.charAt(i - 1) == b.charAt(j - 2) && a.charAt(i - 2) == b.charAt(j - 1)) {
                    d[i][j] = Math.min(d[i][j], d[i - 2][j - 2] + 1);
                }
            }
        }
        return d[a.length()][b.length()];
    }
}
