package org.sftnative.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.sftnative.template.Span;

/// Which special tokens of a rendered conversation the template wrote, and which are only text of the row.
///
/// A token is the template's if its first and its last character are. What the row may give in between is a role:
/// templates write `'<|' + message.role + '|>'`.
final class SpecialTokens {
    private final Map<String, Integer> ids;
    private final Map<Character, List<String>> byFirst = new HashMap<>();

    /// @param ids each special token's text and id
    SpecialTokens(Map<String, Integer> ids) {
        this.ids = Map.copyOf(ids);
        ids.keySet().stream()
                .sorted(Comparator.comparingInt(String::length).reversed())
                .forEach(text -> byFirst.computeIfAbsent(text.charAt(0), _ -> new ArrayList<>())
                        .add(text));
    }

    /// A special token in a text.
    ///
    /// @param template whether the template wrote it
    record Found(int start, int end, int id, boolean template) {}

    /// All of them from left to right, the longest at each place, as the tokenizer finds them; but what is text of
    /// the row hides none that the template wrote.
    List<Found> in(String text, List<Span> fromRows, Set<String> roles) {
        List<Found> found = new ArrayList<>();
        boolean[] row = new boolean[text.length()];
        for (Span span : fromRows) {
            java.util.Arrays.fill(row, span.start(), span.end(), true);
        }
        int hidden = 0; // the end of the last token that is only text
        for (int i = 0; i < text.length(); i++) {
            for (String token : byFirst.getOrDefault(text.charAt(i), List.of())) {
                int end = i + token.length();
                if (!text.startsWith(token, i)) {
                    continue;
                }
                boolean template = !row[i] && !row[end - 1] && roleWithin(text, row, i, end, roles);
                if (template || i >= hidden) {
                    found.add(new Found(i, end, ids.get(token), template));
                    hidden = end;
                }
                if (template) {
                    i = end - 1;
                    break;
                }
            }
        }
        return found;
    }

    private static boolean roleWithin(String text, boolean[] row, int start, int end, Set<String> roles) {
        int from = start;
        while (from < end && !row[from]) {
            from++;
        }
        int to = end;
        while (to > from && !row[to - 1]) {
            to--;
        }
        return from == to || roles.contains(text.substring(from, to));
    }
}
